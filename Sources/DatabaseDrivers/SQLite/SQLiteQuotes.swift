// Strings in double quotes, which SQLite takes where no column has that name (https://sqlite.org/quirks.html, 8), and PRAGMAs
// that change nothing.
//
// The switches SQLITE_DBCONFIG_DQS_DML and _DDL are no use: views and triggers of a file follow the former when they are used,
// and VACUUM the latter, whatever they were when these were written (areDoubleQuotedStringsEnabled in src/resolve.c of SQLite
// 3.40). So both are on, and where clients are to write names only their texts are compiled once more, with the names in the
// other kind of quotes: these are never taken for strings (sqlite3ExprAlloc in src/expr.c, EP_DblQuoted).

internal import CSQLite

/// Quotes of names.
enum SQLiteQuotes {
    private static let double = UInt8(ascii: "\"")
    private static let backtick = UInt8(ascii: "`")

    /// The text with all that is in double quotes in backticks; `nil` when there is none.
    static func asNames(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
        guard text.contains(double) else { return nil }
        var names: [UInt8] = []
        names.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            let byte = text[index]
            let next = index + 1 < text.count ? text[index + 1] : 0
            switch byte {
            case double: index = appendName(text, from: index, to: &names)
            case UInt8(ascii: "'"), backtick: index = copy(text, from: index, behind: [byte], to: &names)
            case UInt8(ascii: "["): index = copy(text, from: index, behind: [UInt8(ascii: "]")], to: &names)
            case UInt8(ascii: "-") where next == byte:
                index = copy(text, from: index, behind: [UInt8(ascii: "\n")], to: &names)
            case UInt8(ascii: "/") where next == UInt8(ascii: "*"):
                names += [byte, next]
                index = copy(text, from: index + 1, behind: Array("*/".utf8), to: &names, isCopied: true)
            default:
                names.append(byte)
                index += 1
            }
        }
        return names
    }

    /// - Returns: the position behind it.
    private static func appendName(_ text: UnsafeRawBufferPointer, from start: Int, to names: inout [UInt8]) -> Int {
        names.append(backtick)
        var index = start + 1
        while index < text.count {
            let byte = text[index]
            index += 1
            if byte == double {
                guard index < text.count, text[index] == double else { break }
                index += 1
            } else if byte == backtick {
                names.append(backtick)
            }
            names.append(byte)
        }
        names.append(backtick)
        return index
    }

    /// Copies what stands at `start` and all up to the end of `end`. A quote that is doubled ends one text and begins another.
    private static func copy(
        _ text: UnsafeRawBufferPointer, from start: Int, behind end: [UInt8], to names: inout [UInt8],
        isCopied: Bool = false
    ) -> Int {
        if !isCopied { names.append(text[start]) }
        var index = start + 1
        while index < text.count {
            names.append(text[index])
            index += 1
            if names.last == end.last, end.count == 1 || index - start > 2 && text[index - 2] == end[0] { break }
        }
        return index
    }
}

extension SQLiteConnection {
    /// Throws when the text, here in other quotes, means nothing where what stood in double quotes is a name; `byteCount` is the
    /// length of the client's own.
    func refuseStrings(_ strict: [UInt8], _ byteCount: Int, for run: StatementRun) throws(DriverError) {
        let saved = authorization
        defer { authorization = saved }
        let made = strict.withUnsafeBytes { compile($0, for: run, withVirtualTables: mayBlock) }
        sqlite3_finalize(made.handle)
        guard made.result != SQLITE_OK else { return }
        let error = preparationError(made.result, made.refusal, run)
        throw error.with {
            if strict.count != byteCount { $0.offset = nil }
            guard $0.sqlState == "42703" else { return }
            $0.hint =
                "In double quotes stands a name here (double_quoted_strings of the database); write strings as 'text'."
        }
    }

    /// Compiles, for a PRAGMA that sets what is in force anyway, the one that asks for it; throws the refusal of any other.
    func compileInForce(
        _ setting: (name: String, value: String), for run: StatementRun, consumed: Int
    ) throws(DriverError) -> Compilation {
        guard mayBlock else {
            // The answer may be in the file.
            mustPrepareOnWorker = true
            throw SQLiteErrors.tooLongToPrepare
        }
        let denial = authorization.denial
        guard let value = ownAnswer("PRAGMA \(setting.name)"), SQLitePragmas.areSame(setting.name, setting.value, value)
        else {
            throw denial ?? SQLiteErrors.tooLongToPrepare
        }
        var asking = Array("PRAGMA \(setting.name)".utf8)
        var made = asking.withUnsafeMutableBytes {
            compile(UnsafeRawBufferPointer($0), for: run, withVirtualTables: true)
        }
        made.consumed = consumed
        return made
    }

    /// The first value of a statement of our own, as text.
    private func ownAnswer(_ sql: String) -> String? {
        guard let statement = prepareOwn(sql) else { return nil }
        defer { sqlite3_finalize(statement) }
        guard sqlite3_step(statement) == SQLITE_ROW, let text = sqlite3_column_text(statement, 0) else { return nil }
        return String(cString: text)
    }
}
