// What must hold for any script: for the fuzzer, and for the tests, which replay its corpus.

internal import SQLText

/// Traps when something does not hold that must.
public enum StatementChecks {
    /// Statements are pieces of the script in their order, and each of them is one statement.
    public static func check(_ script: UnsafeRawBufferPointer) {
        for language in StatementSplitter.Language.allCases { check(script, language) }
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
