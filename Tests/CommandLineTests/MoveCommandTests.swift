import LiteBaseClient
import Testing

@testable import litebase

@Suite struct MoveCommandTests {
    /// A commit without an answer may have been made.
    @Test func anUnknownEndIsToldAsUnknown() {
        for error in [ClientError.disconnected(nil), .timedOut] {
            let message = MoveCommand.notClosed("shop", error).message
            #expect(message.contains("it is not known whether shop is closed"))
            #expect(message.contains("SELECT name FROM sqlite_schema WHERE name LIKE 'litebase_moved_%'"))
        }
    }
}
