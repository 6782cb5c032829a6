// The cases of `Cases`: what is proposed at a place of a statement, in which order.

import Completion
import Testing

@Suite struct CompletionCaseTests {
    @Test(arguments: CompletionDialect.allCases) func cases(_ dialect: CompletionDialect) {
        let cases = CompletionCase.read(dialect)
        #expect(cases.count { $0.file != "sql.txt" } >= 300)
        let schema = StoreSchema.shop(dialect)
        for entry in cases {
            let list = entry.text.withUnsafeBytes {
                Completion.complete(
                    $0, at: entry.cursor, dialect: dialect, schema: schema, limit: 1_000, recent: entry.recent)
            }
            if let complaint = entry.complaint(list.items) { Issue.record("\(entry.description)\n    \(complaint)") }
        }
    }
}
