// What must hold for any script: for the fuzzer, and for the tests, which replay its corpus.

internal import SQLText

/// Traps when something does not hold that must.
public enum StatementChecks {
    /// Statements are pieces of the script in their order, and each of them is one statement.
    public static func check(_ script: UnsafeRawBufferPointer) {
        for language in StatementSplitter.Language.allCases { check(script, language) }
        checkDefinition(script)
    }

    /// The columns of a table are parts of its definition, one behind the other, and its key has each place once.
    private static func checkDefinition(_ text: UnsafeRawBufferPointer) {
        guard let table = SQLiteTableColumns(text), let base = text.baseAddress else { return }
        precondition(!table.columns.isEmpty, "a table has columns")
        var end = 0
        for column in table.columns {
            for part in [column.name, column.defaultValue] {
                guard let start = part.baseAddress.map({ $0 - base }) else { continue }
                precondition(start >= end && start + part.count <= text.count, "columns follow each other")
                end = start + part.count
            }
        }
        let places = table.columns.map(\.keyPosition).filter { $0 > 0 }.sorted()
        precondition(places == Array(places.indices.map { $0 + 1 }), "a key has each place once")
        precondition(table.rowIDColumn.map { table.columns[$0].keyPosition == 1 } ?? true, "a row number is a key")
    }

    private static func mayHaveDelimiter(_ script: UnsafeRawBufferPointer) -> Bool {
        let word = Array("delimiter".utf8)
        return script.indices.contains { start in script[start...].prefix(word.count).map { $0 | 0x20 } == word }
    }

    private static func check(_ script: UnsafeRawBufferPointer, _ language: StatementSplitter.Language) {
        var splitter = StatementSplitter(language)
        var statements = splitter.append(script)
        let left = splitter.finish()
        if let left { statements.append(left) }
        precondition(splitter.isBetweenStatements, "after the end nothing is left")

        var end = 0
        var line = 1
        for statement in statements {
            precondition(!statement.bytes.isEmpty, "a statement is something")
            // The first possible place: only white space, comments and semicolons are in between.
            while !script[end...].starts(with: statement.bytes) || line < statement.line {
                precondition(end < script.count, "a statement is a piece of the script")
                if script[end] == UInt8(ascii: "\n") { line += 1 }
                end += 1
            }
            precondition(line == statement.line, "a statement knows its line")
            line += statement.bytes.count { $0 == UInt8(ascii: "\n") }
            end += statement.bytes.count
        }
        // Where something else may have ended a statement, its own semicolons do not.
        if language == .commandLines || language == .mysql && mayHaveDelimiter(script) { return }
        for statement in statements where statement != left {
            var again = StatementSplitter(language)
            // The line end closes a comment after the statement.
            let found = again.append(statement.bytes + [UInt8(ascii: "\n"), UInt8(ascii: ";")])
            precondition(found.map(\.bytes) == [statement.bytes], "a statement is one")
        }
    }
}
