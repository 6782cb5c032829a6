// What an import that has failed says of what is left.

import DatabaseContract
import Testing

@testable import Server

@Suite("What an import that has failed leaves")
struct ImportLeftoversTests {
    private static let busy = DriverError(.busy, "It is busy.", hint: "Try again.").with {
        $0.isRetryable = true
        $0.retryAfterMilliseconds = 100
    }

    @Test(
        "Where rows are there, nobody is told to repeat the request",
        arguments: [
            ImportLeftovers(rows: .committed(7)), ImportLeftovers(rows: .inTransaction(7)),
            ImportLeftovers(rows: .notUndone),
            ImportLeftovers(rows: .none, hasTable: true),
        ])
    func repeating(_ left: ImportLeftovers) {
        let details = left.told(by: Self.busy).details
        #expect(!details.isRetryable)
        #expect(details.retryAfterMilliseconds == nil)
        #expect(details.hint?.contains("first") == true)
        #expect(details.detail?.isEmpty == false)
    }

    @Test("Where nothing is left, the error stays as it is")
    func nothing() {
        let details = ImportLeftovers().told(by: Self.busy).details
        #expect(details.isRetryable)
        #expect(details.detail == nil)
        #expect(details.hint == "Try again.")
        #expect(ImportLeftovers(rows: .rolledBack).told(by: Self.busy).details.isRetryable)
    }

    @Test("The number of rows is told, and what is not known")
    func numbers() {
        let refused = DriverError(.badRequest, "Line 8 was refused.", hint: "Look at it.").with { $0.detail = "why" }
        let told = ImportLeftovers(rows: .committed(7)).told(by: refused).details
        #expect(told.detail == "Why. The 7 rows before it are in the table.")
        #expect(told.hint == "Look at it.")
        let unknown = ImportLeftovers(rows: .committed(7)).told(by: DriverError(.outcomeUnknown, "It was lost."))
            .details
        #expect(unknown.detail == "The 7 rows before it are in the table; of those behind them it is not known.")
    }
}
