// Names of SQLite as names of PostgreSQL.

internal import SQLText

/// How names are written.
public struct Names: Equatable, Sendable {
    /// Whether capital letters stay. SQLite makes no difference between them and small ones; PostgreSQL reads a name without
    /// quotes in small letters, so that only those are found by programs that write no quotes.
    let keepsCase: Bool

    /// Bytes of a name: NAMEDATALEN - 1.
    static let byteCountMax = 63

    public init(keepsCase: Bool) { self.keepsCase = keepsCase }

    public func plain(_ name: String) -> String {
        if keepsCase { return name }
        return String(decoding: name.utf8.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    public func quoted(_ name: String) -> String { String(quoting: plain(name), by: UInt8(ascii: "\"")) }

    func list(_ names: [String]) -> String { names.map(quoted).joined(separator: ", ") }

    /// A text as PostgreSQL reads it.
    /// - Source: PostgreSQL, "4.1.2.1. String Constants"
    static func literal(_ text: String) -> String {
        let quoted = String(quoting: text, by: UInt8(ascii: "'"))
        guard text.utf8.contains(UInt8(ascii: "\\")) else { return quoted }
        // So that it is read alike, whatever standard_conforming_strings says.
        var bytes = Array("E".utf8)
        for byte in quoted.utf8 {
            if byte == UInt8(ascii: "\\") { bytes.append(byte) }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
