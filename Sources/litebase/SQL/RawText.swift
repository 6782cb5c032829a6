// Statements of a script that are not UTF-8: dumps have the bytes of a BLOB as they are.

import SQLText

/// The text that is sent for a statement.
enum RawText {
    /// The statement itself if it is UTF-8; otherwise with other bytes in another notation of the same value: `'…'` of
    /// MySQL becomes `x'…'`. If the server takes texts for UTF-8, such bytes are not text; in other character sets they
    /// may be, except in `_binary '…'`.
    /// - Throws: `InputError` for bytes that have no other notation.
    static func sql(
        of statement: StatementSplitter.Statement, _ language: StatementSplitter.Language,
        _ rules: StatementSplitter.Rules
    ) throws(InputError) -> String {
        if let text = statement.text { return text }
        if language == .mysql,
            let text = String(validating: HexLiterals.made(of: statement.bytes, rules), as: UTF8.self)
        {
            return text
        }
        if statement.bytes.starts(with: [0xff, 0xfe]) || statement.bytes.starts(with: [0xfe, 0xff]) {
            throw InputError(message: "the script is UTF-16; make it UTF-8, with iconv(1) for instance")
        }
        let remedy = language == .mysql ? "; mariadb-dump --default-character-set=utf8mb4 --hex-blob writes such" : ""
        throw InputError(message: "the statement is not UTF-8 text\(remedy)")
    }
}

/// The mark at the beginning of a file that says that it is UTF-8; other systems' editors write it.
enum ByteOrderMark {
    static func dropped(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes.dropFirst(3) : bytes
    }
}
