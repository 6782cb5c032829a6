// Types of each dialect.
//
// - Source: https://www.sqlite.org/datatype3.html, https://www.sqlite.org/stricttables.html; PostgreSQL 15, chapter 8;
//   https://mariadb.com/kb/en/data-types/

enum TypeNames {
    static func of(_ dialect: CompletionDialect) -> [String] {
        switch dialect {
        case .sqlite: sqlite
        case .postgresql: postgresql
        case .mysql: mysql
        case .redis: []
        }
    }

    private static let sqlite = [
        "INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "ANY", "INT", "BOOLEAN", "DATE", "DATETIME", "DECIMAL", "VARCHAR",
    ]

    private static let postgresql = """
        integer|text|bigint|smallint|boolean|numeric|real|double precision|uuid|date|timestamp|timestamptz|timestamp with time zone|time\
        |timetz|interval|json|jsonb|bytea|varchar|character varying|char|character|serial|bigserial|smallserial|money|inet|cidr|macaddr|xml\
        |point|line|box|path|polygon|circle|bit|bit varying|tsvector|tsquery|int4range|int8range|numrange|tsrange|tstzrange|daterange|int\
        |int2|int4|int8|float4|float8|decimal|bool|name|oid|regclass|regproc|regtype|text[]|integer[]
        """.split(separator: "|").map(String.init)

    private static let mysql = """
        INT|BIGINT|SMALLINT|TINYINT|MEDIUMINT|VARCHAR(|CHAR(|TEXT|TINYTEXT|MEDIUMTEXT|LONGTEXT|DECIMAL(|FLOAT|DOUBLE|DATE|DATETIME\
        |TIMESTAMP|TIME|YEAR|BOOLEAN|BLOB|TINYBLOB|MEDIUMBLOB|LONGBLOB|VARBINARY(|BINARY(|JSON|ENUM(|SET(|BIT|INTEGER|NUMERIC|SIGNED\
        |UNSIGNED|UUID|INET6|POINT|GEOMETRY
        """.split(separator: "|").map(String.init)
}
