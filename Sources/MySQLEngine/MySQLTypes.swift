// MySQL's types: what the protocol calls them, and how their values are read.

internal import CMariaDB
internal import DatabaseContract
internal import RemoteDatabases

/// How a value is turned into one of the protocol.
enum MySQLForm: UInt8 {
    case text, blob, integer, unsigned, double, float, bit, date, datetime, time
}

/// What must be known of a column to read its values.
struct MySQLColumn {
    var form: MySQLForm
    /// Digits behind the point; of times, of their seconds.
    var decimals: UInt32
    /// One value, or all values of a row's columns of that kind, may be many bytes.
    var mayBeLong: Bool
}

/// Types of columns.
///
/// - Source: https://mariadb.com/kb/en/result-set-packets/
enum MySQLTypes {
    /// A row has 4,096 columns at most, so that all those that are shorter make no long row (MAX_FIELDS of the server).
    private static let shortByteCountMax: UInt = 32
    private static let unsignedFlag = UInt32(UNSIGNED_FLAG)
    private static let enumFlag = UInt32(ENUM_FLAG)
    private static let setFlag = UInt32(SET_FLAG)
    /// The character set of bytes.
    private static let binaryCharset: UInt32 = 63

    /// How values of the column are read.
    static func column(_ field: MYSQL_FIELD) -> MySQLColumn {
        let form = form(field)
        let isOfBytes = form == .text || form == .blob
        return MySQLColumn(
            form: form, decimals: field.decimals, mayBeLong: isOfBytes && field.length >= shortByteCountMax)
    }

    private static func form(_ field: MYSQL_FIELD) -> MySQLForm {
        switch field.type {
        case MYSQL_TYPE_TINY, MYSQL_TYPE_SHORT, MYSQL_TYPE_LONG, MYSQL_TYPE_LONGLONG, MYSQL_TYPE_INT24:
            field.flags & unsignedFlag != 0 ? .unsigned : .integer
        case MYSQL_TYPE_YEAR: .unsigned
        case MYSQL_TYPE_FLOAT: .float
        case MYSQL_TYPE_DOUBLE: .double
        case MYSQL_TYPE_BIT: .bit
        case MYSQL_TYPE_DATE, MYSQL_TYPE_NEWDATE: .date
        case MYSQL_TYPE_DATETIME, MYSQL_TYPE_TIMESTAMP: .datetime
        case MYSQL_TYPE_TIME: .time
        case MYSQL_TYPE_DECIMAL, MYSQL_TYPE_NEWDECIMAL, MYSQL_TYPE_JSON, MYSQL_TYPE_NULL: .text
        case MYSQL_TYPE_GEOMETRY: .blob
        default:
            field.charsetnr == binaryCharset && attribute(field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME) == nil
                ? .blob : .text
        }
    }

    /// What the protocol calls the type of a column.
    static func protocolName(_ field: MYSQL_FIELD) -> String {
        switch form(field) {
        case .integer, .unsigned, .bit: "integer"
        case .float, .double: "real"
        case .blob: "blob"
        case .date, .datetime, .time: name(field)
        case .text: textName(field)
        }
    }

    /// What a column's flags and lengths tell of its values.
    static func detail(_ field: MYSQL_FIELD) -> ValueDetail {
        switch field.type {
        case MYSQL_TYPE_LONGLONG, MYSQL_TYPE_BIT:
            // A BIT column has up to 64 bits.
            return field.flags & unsignedFlag != 0 || field.type == MYSQL_TYPE_BIT ? .unsigned : .none
        case MYSQL_TYPE_TIME: return .span
        case MYSQL_TYPE_DECIMAL, MYSQL_TYPE_NEWDECIMAL:
            // The length has the sign and the point (my_decimal_precision_to_length of the server).
            let signs = (field.flags & unsignedFlag != 0 ? 0 : 1) + (field.decimals > 0 ? 1 : 0)
            return .decimal(precision: Int(field.length) - signs, scale: Int(field.decimals))
        default: return .none
        }
    }

    private static func textName(_ field: MYSQL_FIELD) -> String {
        switch field.type {
        case MYSQL_TYPE_DECIMAL, MYSQL_TYPE_NEWDECIMAL: "decimal"
        case MYSQL_TYPE_NULL: "any"
        case MYSQL_TYPE_JSON: "json"
        default:
            field.flags & enumFlag != 0
                ? "enum"
                : field.flags & setFlag != 0
                    ? "set"
                    : attribute(field, MARIADB_FIELD_ATTR_FORMAT_NAME) ?? attribute(
                        field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME) ?? "text"
        }
    }

    /// The engine's name of the type of a column; only what the result tells of it.
    static func name(_ field: MYSQL_FIELD) -> String {
        let sign = field.flags & unsignedFlag != 0 ? " unsigned" : ""
        let isBinary = field.charsetnr == binaryCharset
        switch field.type {
        case MYSQL_TYPE_TINY: return "tinyint" + sign
        case MYSQL_TYPE_SHORT: return "smallint" + sign
        case MYSQL_TYPE_LONG: return "int" + sign
        case MYSQL_TYPE_LONGLONG: return "bigint" + sign
        case MYSQL_TYPE_INT24: return "mediumint" + sign
        case MYSQL_TYPE_YEAR: return "year"
        case MYSQL_TYPE_FLOAT: return "float"
        case MYSQL_TYPE_DOUBLE: return "double"
        case MYSQL_TYPE_DECIMAL, MYSQL_TYPE_NEWDECIMAL: return "decimal"
        case MYSQL_TYPE_BIT: return "bit"
        case MYSQL_TYPE_DATE, MYSQL_TYPE_NEWDATE: return "date"
        case MYSQL_TYPE_DATETIME: return "datetime"
        case MYSQL_TYPE_TIMESTAMP: return "timestamp"
        case MYSQL_TYPE_TIME: return "time"
        case MYSQL_TYPE_JSON: return "json"
        case MYSQL_TYPE_GEOMETRY: return attribute(field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME) ?? "geometry"
        case MYSQL_TYPE_NULL: return "null"
        default: break
        }
        if field.flags & enumFlag != 0 { return "enum" }
        if field.flags & setFlag != 0 { return "set" }
        if let name = attribute(field, MARIADB_FIELD_ATTR_FORMAT_NAME)
            ?? attribute(field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME)
        {
            return name
        }
        switch field.type {
        case MYSQL_TYPE_TINY_BLOB, MYSQL_TYPE_MEDIUM_BLOB, MYSQL_TYPE_LONG_BLOB, MYSQL_TYPE_BLOB:
            return isBinary ? "blob" : "text"
        case MYSQL_TYPE_STRING: return isBinary ? "binary" : "char"
        default: return isBinary ? "varbinary" : "varchar"
        }
    }

    /// What MariaDB adds to types that its protocol has no code for: "json", "uuid", "inet6", "point", …
    private static func attribute(_ field: MYSQL_FIELD, _ attribute: mariadb_field_attr_t) -> String? {
        var field = field
        var text = MARIADB_CONST_STRING()
        _ = libmariadb.mariadb_field_attr(&text, &field, attribute)
        guard let start = text.str, text.length > 0 else { return nil }
        return String(decoding: UnsafeRawBufferPointer(start: start, count: text.length), as: UTF8.self)
    }
}
