// What an import that has failed says of what is left.

import DatabaseContract
import Testing

@testable import Server

@Suite("What an import that has failed leaves")
struct ImportLeftoversTests {
    @Test("Where nothing is left, the error stays as it is")
    func nothing() {
        #expect(ImportLeftovers().told(by: DriverError(.busy, "It is busy.")).details.detail == nil)
    }

    @Test("The number of rows is told")
    func numbers() {
        let refused = DriverError(.badRequest, "Line 8 was refused.", hint: "Look at it.").with { $0.detail = "Why." }
        let told = ImportLeftovers(rows: .committed(7)).told(by: refused).details
        #expect(told.detail == "Why. The 7 rows before it are in the table.")
        #expect(told.hint == "Look at it.")
    }
}
