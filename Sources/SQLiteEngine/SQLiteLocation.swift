// Where a SQLite database is: parsing of `sqlite:` URLs.

public import DatabaseContract

/// A parsed `sqlite:` URL.
///
/// - Source: docs/protocol.md, URLs.
public struct SQLiteLocation: DatabaseLocation {
    public enum Place: Sendable, Equatable {
        /// Absolute path of a file.
        case file(String)
        /// In memory; its content is lost with the last connection.
        case memory
    }

    public enum Mode: String, Sendable {
        case readOnly = "ro"
        case readWrite = "rw"
        case readWriteCreate = "rwc"
    }

    public var place: Place
    public var mode: Mode

    public init(place: Place, mode: Mode) {
        self.place = place
        self.mode = mode
    }

    public var label: String { filePath ?? ":memory:" }
    public var filePath: String? { if case .file(let path) = place { path } else { nil } }
    public var isMemory: Bool { place == .memory }
    public var isReadOnly: Bool { mode == .readOnly }
    public var file: DatabaseFile? { filePath.flatMap(DatabaseFile.init(sqlitePath:)) }
    public func checkClientURL() throws(DriverError) {}
    public func makeDatabase(_ plan: DatabasePlan) -> any Database { SQLiteDatabase(self, plan) }

    /// Parses `sqlite:/path`, `sqlite:///path`, `sqlite::memory:` with `?mode=ro|rw|rwc`; `%XX` in the path is decoded.
    /// - Throws: `DriverError` with code `badRequest` that says what is wrong.
    public init(url: String) throws(DriverError) {
        guard url.hasPrefix("sqlite:") else {
            throw DriverError(.badRequest, "A SQLite URL begins with sqlite:.", hint: "Use sqlite:/absolute/path.")
        }
        let parts = url.dropFirst(7).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        mode = .readWriteCreate
        if parts.count == 2 { mode = try Self.mode(in: parts[1]) }
        if parts[0] == ":memory:" {
            place = .memory
            return
        }
        var path = try Self.percentDecoded(parts[0])
        // As bytes: a slash with a combining accent is another Character, but the same separator for the kernel.
        if path.utf8.starts(with: "///".utf8) { path.removeFirst(2) }
        guard path.utf8.first == UInt8(ascii: "/"), !path.utf8.starts(with: "//".utf8) else {
            throw DriverError(
                .badRequest, "The path in a sqlite: URL must be absolute.", hint: "Write sqlite:/absolute/path.")
        }
        guard path.utf8.last != UInt8(ascii: "/"), !path.utf8.contains(0) else {
            throw DriverError(.badRequest, "The path in the sqlite: URL does not name a file.")
        }
        place = .file(path)
    }

    private static func mode(in query: Substring) throws(DriverError) -> Mode {
        var mode = Mode.readWriteCreate
        for item in query.split(separator: "&") {
            guard item.hasPrefix("mode="), let value = Mode(rawValue: String(item.dropFirst(5))) else {
                throw DriverError(
                    .badRequest, "The sqlite: URL has an option that is not known.",
                    hint: "The only option is mode, with ro, rw or rwc.")
            }
            mode = value
        }
        return mode
    }

    private static func percentDecoded(_ text: Substring) throws(DriverError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexadecimal), let low = rest.popFirst().flatMap(hexadecimal) else {
                throw DriverError(
                    .badRequest, "The sqlite: URL has a % that is not followed by two hexadecimal digits.")
            }
            bytes.append(high << 4 | low)
        }
        guard let path = String(validating: bytes, as: UTF8.self) else {
            throw DriverError(.badRequest, "The path in the sqlite: URL is not UTF-8.")
        }
        return path
    }

    private static func hexadecimal(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
