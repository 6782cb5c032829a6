// PostgreSQL's types: what the protocol calls them, and how their text form is read.

internal import CPostgreSQL
internal import DatabaseContract
internal import RemoteDatabases
internal import Synchronization

/// How a value's text is turned into a value of the protocol.
enum ValueForm: UInt8 {
    case text, integer, real, bool, bytes
}

/// Names of types by OID: built-in ones from a table, others as the database has them.
///
/// - Thread: any.
final class PostgreSQLTypes: Sendable {
    private let names = Mutex<[UInt32: String]>([:])

    /// Types of a database that are kept by name.
    private static let nameCountMax = 10_000
    /// Two names of 63 bytes at the most, in quotes, and brackets.
    private static let nameByteCountMax = 300
    /// The first OID that is not PostgreSQL's own (access/transam.h).
    private static let firstNormalOID: UInt32 = 16_384

    /// The name of the type; `nil` when it is not known yet.
    func name(_ oid: UInt32) -> String? {
        if let builtIn = Self.builtIn[oid] { return builtIn }
        return names.withLock { $0[oid] }
    }

    func note(_ oid: UInt32, _ name: String) {
        names.withLock { names in
            if names.count < Self.nameCountMax { names[oid] = name }
        }
    }

    /// Types that somebody has created: those of columns can be domains, enums, ranges, composites, and arrays of them.
    static let query = """
        SELECT oid, CASE WHEN typelem <> 0 AND typlen = -1 THEN typelem::regtype::text || '[]' ELSE typname END \
        FROM pg_catalog.pg_type
        """
    private static let newTypesQuery =
        query + " WHERE oid >= \(firstNormalOID) AND typtype IN ('b', 'e', 'r', 'm') "
        + "AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.reltype = typelem AND typelem <> 0) LIMIT \(nameCountMax)"

    /// Reads the names, on a connection that was just opened.
    func load(_ handshake: PostgreSQLHandshake) throws(DriverError) {
        guard names.withLock({ $0.isEmpty }) else { return }
        let query = Self.newTypesQuery.utf8CString
        _ = try query.withUnsafeBufferPointer { text throws(DriverError) in
            // There is an address: the NUL at least.
            try handshake.ask(text.baseAddress.unsafelyUnwrapped, take)
        }
    }

    /// Takes over the rows of `query`.
    func take(_ result: OpaquePointer) {
        guard libpq.PQnfields(result) == 2 else { return }
        for row in 0..<libpq.PQntuples(result) {
            guard let oid = libpq.PQgetvalue(result, row, 0), let name = libpq.PQgetvalue(result, row, 1),
                let number = UInt32(String(cString: oid))
            else { continue }
            note(number, PostgreSQLText.clipped(name, byteCountMax: Self.nameByteCountMax))
        }
    }

    /// How values of the type are read.
    static func form(_ oid: UInt32) -> ValueForm {
        switch oid {
        case 16: .bool
        case 17: .bytes
        case 20, 21, 23, 26: .integer
        case 700, 701: .real
        default: .text
        }
    }

    /// What the protocol calls a type.
    static func protocolName(_ oid: UInt32, _ name: String?) -> String {
        switch oid {
        case 16: "boolean"
        case 17: "blob"
        case 20, 21, 23, 26: "integer"
        case 700, 701: "real"
        case 1700: "decimal"
        // "char", name, text, char(n), varchar, and literals whose type nothing decides.
        case 18, 19, 25, 1042, 1043, 705: "text"
        default: name ?? "any"
        }
    }

    /// What a type's modifier tells of values.
    /// - Source: make_numeric_typmod in src/backend/utils/adt/numeric.c of PostgreSQL 15
    static func detail(_ oid: UInt32, modifier: Int32) -> ValueDetail {
        guard oid == 1700, modifier >= 4 else { return .none }
        let packed = Int(modifier - 4)
        let precision = packed >> 16 & 0xffff
        // Of 11 bits, with a sign.
        let scale = (packed & 0x7ff ^ 0x400) - 0x400
        // The digits of 0.00012 may be two, and of 12000 as well.
        return scale < 0
            ? .decimal(precision: precision - scale, scale: 0)
            : .decimal(precision: max(precision, scale), scale: scale)
    }

    /// - Source: src/include/catalog/pg_type.dat of PostgreSQL 15; these numbers never change.
    private static let builtIn: [UInt32: String] = [
        16: "bool", 17: "bytea", 18: "char", 19: "name", 20: "int8", 21: "int2", 22: "int2vector", 23: "int4",
        24: "regproc", 25: "text", 26: "oid", 27: "tid", 28: "xid", 29: "cid", 30: "oidvector", 114: "json",
        142: "xml", 143: "xml[]", 194: "pg_node_tree", 199: "json[]", 271: "xid8[]", 600: "point", 601: "lseg",
        602: "path", 603: "box", 604: "polygon", 628: "line", 629: "line[]", 650: "cidr", 651: "cidr[]",
        700: "float4", 701: "float8", 705: "unknown", 718: "circle", 719: "circle[]", 774: "macaddr8",
        775: "macaddr8[]", 790: "money", 791: "money[]", 829: "macaddr", 869: "inet", 1000: "bool[]",
        1001: "bytea[]", 1002: "char[]", 1003: "name[]", 1005: "int2[]", 1006: "int2vector[]", 1007: "int4[]",
        1008: "regproc[]", 1009: "text[]", 1010: "tid[]", 1011: "xid[]", 1012: "cid[]", 1013: "oidvector[]",
        1014: "bpchar[]", 1015: "varchar[]", 1016: "int8[]", 1017: "point[]", 1018: "lseg[]", 1019: "path[]",
        1020: "box[]", 1021: "float4[]", 1022: "float8[]", 1027: "polygon[]", 1028: "oid[]", 1033: "aclitem",
        1034: "aclitem[]", 1040: "macaddr[]", 1041: "inet[]", 1042: "bpchar", 1043: "varchar", 1082: "date",
        1083: "time", 1114: "timestamp", 1115: "timestamp[]", 1182: "date[]", 1183: "time[]", 1184: "timestamptz",
        1185: "timestamptz[]", 1186: "interval", 1187: "interval[]", 1231: "numeric[]", 1266: "timetz",
        1270: "timetz[]", 1560: "bit", 1561: "bit[]", 1562: "varbit", 1563: "varbit[]", 1700: "numeric",
        1790: "refcursor", 2201: "refcursor[]", 2202: "regprocedure", 2203: "regoper", 2204: "regoperator",
        2205: "regclass", 2206: "regtype", 2207: "regprocedure[]", 2210: "regclass[]", 2211: "regtype[]",
        2249: "record", 2275: "cstring", 2278: "void", 2287: "record[]", 2950: "uuid", 2951: "uuid[]",
        2970: "txid_snapshot", 3220: "pg_lsn", 3221: "pg_lsn[]", 3614: "tsvector", 3615: "tsquery",
        3642: "gtsvector", 3643: "tsvector[]", 3645: "tsquery[]", 3734: "regconfig", 3769: "regdictionary",
        3802: "jsonb", 3807: "jsonb[]", 3904: "int4range", 3905: "int4range[]", 3906: "numrange",
        3907: "numrange[]", 3908: "tsrange", 3909: "tsrange[]", 3910: "tstzrange", 3911: "tstzrange[]",
        3912: "daterange", 3913: "daterange[]", 3926: "int8range", 3927: "int8range[]", 4072: "jsonpath",
        4073: "jsonpath[]", 4089: "regnamespace", 4096: "regrole", 4191: "regcollation", 4451: "int4multirange",
        4532: "nummultirange", 4533: "tsmultirange", 4534: "tstzmultirange", 4535: "datemultirange",
        4536: "int8multirange", 5038: "pg_snapshot", 5069: "xid8",
    ]
}
