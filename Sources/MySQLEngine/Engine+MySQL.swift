// MySQL and MariaDB as an engine.

public import DatabaseContract

extension Engine {
    /// MySQL and MariaDB. MySQL counts values in 16 bits (COM_STMT_PREPARE_OK).
    public static let mysql = Engine(
        name: "mysql", schemes: ["mysql", "mariadb"], urlExample: "mysql://", placement: .server,
        parameterCountMax: 65_535,
        // The text; two MYSQL_BIND, one of them libmariadb's own.
        copies: RequestCopies(perByte: 1, perParameter: 256), pingText: "SELECT 1", catalog: MySQLCatalog(),
        loading: MySQLLoading(),
        parse: { url throws(DriverError) in try MySQLLocation(url: url) })
}
