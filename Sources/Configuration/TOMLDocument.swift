// A TOML file as a list of entries: the Swift side of CToml.

internal import CToml

/// A value of a TOML file; what no setting takes is only named.
enum TOMLValue: Equatable, Sendable {
    case string(String)
    case integer(Int64)
    case boolean(Bool)
    case real(Double)
    case strings([String])
    case table
    case other

    var typeName: String {
        switch self {
        case .string: "string"
        case .integer: "integer"
        case .boolean: "boolean"
        case .real: "float"
        case .strings: "array"
        case .table: "table"
        case .other: "date, time or mixed array"
        }
    }
}

/// One key with its place.
struct TOMLEntry: Equatable, Sendable {
    var path: [String]
    var value: TOMLValue
    /// Counted from 1.
    var line: Int
    var column: Int
}

/// A parsed file.
struct TOMLDocument: Sendable {
    /// What is wrong with the syntax, and where.
    struct SyntaxError: Error, Equatable {
        var message: String
        var line: Int
        var column: Int
    }

    /// In the order of the text; tables before their members.
    let entries: [TOMLEntry]

    init(parsing text: [UInt8]) throws(SyntaxError) {
        let document = text.withUnsafeBytes {
            ctoml_parse($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
        }
        guard let document else { throw SyntaxError(message: "out of memory", line: 1, column: 1) }
        defer { ctoml_free(document) }
        var (message, line, column) = (ctoml_text(), UInt32(0), UInt32(0))
        if ctoml_error(document, &message, &line, &column) {
            throw SyntaxError(message: String(message), line: Int(line), column: Int(column))
        }
        entries = (0..<ctoml_entry_count(document)).map { Self.entry(document, $0) }
            .sorted { ($0.line, $0.column) < ($1.line, $1.column) }
    }

    private static func entry(_ document: OpaquePointer, _ index: Int) -> TOMLEntry {
        let head = ctoml_entry_at(document, index)
        let path = (0..<Int(head.key_count)).map { String(ctoml_key(document, index, $0)) }
        let strings = (0..<Int(head.string_count)).map { String(ctoml_string(document, index, $0)) }
        let value: TOMLValue =
            switch Int(head.kind) {
            case Int(CTOML_STRING): .string(strings.first ?? "")
            case Int(CTOML_INTEGER): .integer(head.integer)
            case Int(CTOML_BOOLEAN): .boolean(head.integer != 0)
            case Int(CTOML_FLOAT): .real(head.real)
            case Int(CTOML_STRINGS): .strings(strings)
            case Int(CTOML_TABLE): .table
            default: .other
            }
        return TOMLEntry(path: path, value: value, line: Int(head.line), column: Int(head.column))
    }

    /// A basic string with its quotes (TOML 1.0, "String").
    static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\u{0}"..<" ", "\u{7f}":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

extension String {
    /// Copies the text; the parser has checked that it is UTF-8.
    fileprivate init(_ text: ctoml_text) {
        guard let bytes = text.bytes else {
            self = ""
            return
        }
        let raw = UnsafeRawBufferPointer(start: bytes, count: text.length)
        self = String(decoding: raw, as: UTF8.self)
    }
}
