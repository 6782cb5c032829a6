// COPY … FROM stdin of a script, with the data that follow it: pg_dump writes tables so.

import LiteBaseClient
import SQLText

/// A COPY that is under way: the data of the script go to the server as they stand.
struct ScriptCopy {
    let statement: StatementSplitter.Statement
    let sql: String
    let place: ScriptPlace?
    private let input: BlockingCopyInput

    static let unfinished =
        "the data of COPY have no end, a line \\. behind them: the script may be cut off; no row of them was written"

    /// Begins it; what the server says of it comes by its end.
    init(
        _ statement: StatementSplitter.Statement, _ sql: String, _ place: ScriptPlace?, in session: BlockingSession
    ) throws(ClientError) {
        self.statement = statement
        self.sql = sql
        self.place = place
        input = try session.copyInput(sql)
    }

    /// Sends what comes next of the script.
    /// - Returns: what was done, at the end of the data; else `nil`.
    func take(_ data: (bytes: [UInt8], isEnd: Bool)) throws(ClientError) -> StatementSummary? {
        try input.write(data.bytes)
        return data.isEnd ? try input.finish() : nil
    }

    /// Ends it where the script ends within its data.
    func abandon() { input.abandon() }
}

/// `\connect` of psql, by which pg_dump --create and pg_dumpall go to the database of what follows.
enum ConnectLine {
    /// The database to which a line leads; `nil` if it is another line, or leads to another server or user.
    static func database(of line: [UInt8]) -> String? {
        let last = line.split(separator: UInt8(ascii: "\n")).last ?? []
        var words = words(of: String(decoding: last, as: UTF8.self))[...]
        guard let command = words.popFirst(), command == "\\connect" || command == "\\c" else { return nil }
        if words.first == "-reuse-previous=on" { words.removeFirst() }
        // Others name a user, a host and a port; a hyphen is what they are now.
        guard let name = words.popFirst(), words.allSatisfy({ $0 == "-" }) else { return nil }
        guard name.hasPrefix("dbname=") else { return name.contains("=") || name.contains("://") ? nil : name }
        return value(of: name.dropFirst("dbname=".count))
    }

    /// Words with spaces between, and quotes as psql has them: `'…'` and `"…"`, doubled within.
    private static func words(of line: String) -> [String] {
        var words: [String] = []
        var rest = line[...]
        while true {
            rest = rest.drop { $0.isWhitespace }
            guard let first = rest.first else { return words }
            guard first == "\"" || first == "'" else {
                let word = rest.prefix { !$0.isWhitespace }
                rest = rest[word.endIndex...]
                words.append(String(word))
                continue
            }
            rest.removeFirst()
            var word = ""
            while let character = rest.popFirst() {
                if character == first, rest.first != first { break }
                if character == first { rest.removeFirst() }
                word.append(character)
            }
            words.append(word)
        }
    }

    /// The value of a connection string's only setting, in its quotes; `nil` if there are others.
    /// - Source: https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING
    private static func value(of text: Substring) -> String? {
        guard text.first == "'" else { return text.contains(where: \.isWhitespace) ? nil : String(text) }
        var (rest, value) = (text.dropFirst(), "")
        while let character = rest.popFirst() {
            if character == "'" { return rest.allSatisfy(\.isWhitespace) ? value : nil }
            value.append(character == "\\" ? rest.popFirst() ?? character : character)
        }
        return nil
    }
}
