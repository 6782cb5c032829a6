// MySQL's types: what the protocol calls them, and how their values are read.

internal import CMariaDB

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
    /// enum enum_field_types (mariadb_com.h).
    enum Code {
        static let decimal: UInt32 = 0
        static let tiny: UInt32 = 1
        static let float: UInt32 = 4
        static let double: UInt32 = 5
        static let null: UInt32 = 6
        static let timestamp: UInt32 = 7
        static let longLong: UInt32 = 8
        static let date: UInt32 = 10
        static let time: UInt32 = 11
        static let datetime: UInt32 = 12
        static let year: UInt32 = 13
        static let newDate: UInt32 = 14
        static let bit: UInt32 = 16
        static let json: UInt32 = 245
        static let newDecimal: UInt32 = 246
        static let blob: UInt32 = 252
        static let string: UInt32 = 254
        static let geometry: UInt32 = 255
    }

    /// A row has 4,096 columns at most, so that all those that are shorter make no long row (MAX_FIELDS of the server).
    private static let shortByteCountMax: UInt = 32
    private static let unsignedFlag: UInt32 = 32
    private static let enumFlag: UInt32 = 256
    private static let setFlag: UInt32 = 2048
    /// The character set of bytes.
    private static let binaryCharset: UInt32 = 63

    /// How values of the column are read.
    static func column(_ field: my_field) -> MySQLColumn {
        let form = form(field)
        let isOfBytes = form == .text || form == .blob
        return MySQLColumn(
            form: form, decimals: field.decimals, mayBeLong: isOfBytes && field.length >= shortByteCountMax)
    }

    private static func form(_ field: my_field) -> MySQLForm {
        switch field.type {
        case 1, 2, 3, 8, 9: field.flags & unsignedFlag != 0 ? .unsigned : .integer
        case Code.year: .unsigned
        case Code.float: .float
        case Code.double: .double
        case Code.bit: .bit
        case Code.date, Code.newDate: .date
        case Code.datetime, Code.timestamp: .datetime
        case Code.time: .time
        case Code.decimal, Code.newDecimal, Code.json, Code.null: .text
        case Code.geometry: .blob
        default: field.charsetnr == binaryCharset && attribute(field, MY_ATTRIBUTE_TYPE_NAME) == nil ? .blob : .text
        }
    }

    /// What the protocol calls the type of a column.
    static func protocolName(_ field: my_field) -> String {
        switch form(field) {
        case .integer, .unsigned, .bit: "integer"
        case .float, .double: "real"
        case .blob: "blob"
        case .date, .datetime, .time: name(field)
        case .text: textName(field)
        }
    }

    private static func textName(_ field: my_field) -> String {
        switch field.type {
        case Code.decimal, Code.newDecimal: "decimal"
        case Code.null: "any"
        case Code.json: "json"
        default:
            field.flags & enumFlag != 0
                ? "enum"
                : field.flags & setFlag != 0
                    ? "set"
                    : attribute(field, MY_ATTRIBUTE_FORMAT_NAME) ?? attribute(field, MY_ATTRIBUTE_TYPE_NAME) ?? "text"
        }
    }

    /// The engine's name of the type of a column; only what the result tells of it.
    static func name(_ field: my_field) -> String {
        let sign = field.flags & unsignedFlag != 0 ? " unsigned" : ""
        let isBinary = field.charsetnr == binaryCharset
        switch field.type {
        case Code.tiny: return "tinyint" + sign
        case 2: return "smallint" + sign
        case 3: return "int" + sign
        case Code.longLong: return "bigint" + sign
        case 9: return "mediumint" + sign
        case Code.year: return "year"
        case Code.float: return "float"
        case Code.double: return "double"
        case Code.decimal, Code.newDecimal: return "decimal"
        case Code.bit: return "bit"
        case Code.date, Code.newDate: return "date"
        case Code.datetime: return "datetime"
        case Code.timestamp: return "timestamp"
        case Code.time: return "time"
        case Code.json: return "json"
        case Code.geometry: return attribute(field, MY_ATTRIBUTE_TYPE_NAME) ?? "geometry"
        case Code.null: return "null"
        default: break
        }
        if field.flags & enumFlag != 0 { return "enum" }
        if field.flags & setFlag != 0 { return "set" }
        if let name = attribute(field, MY_ATTRIBUTE_FORMAT_NAME) ?? attribute(field, MY_ATTRIBUTE_TYPE_NAME) {
            return name
        }
        switch field.type {
        case 249...Code.blob: return isBinary ? "blob" : "text"
        case Code.string: return isBinary ? "binary" : "char"
        default: return isBinary ? "varbinary" : "varchar"
        }
    }

    /// What MariaDB adds to types that its protocol has no code for: "json", "uuid", "inet6", "point", …
    private static func attribute(_ field: my_field, _ attribute: Int32) -> String? {
        var field = field
        let text = my_field_attribute(&field, UInt32(bitPattern: attribute))
        guard let start = text.start, text.length > 0 else { return nil }
        return String(decoding: UnsafeRawBufferPointer(start: start, count: text.length), as: UTF8.self)
    }
}
