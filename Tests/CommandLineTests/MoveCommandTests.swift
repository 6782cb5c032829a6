import LinuxSystem
import Testing

@testable import LiteBaseClient
@testable import litebase

@Suite struct MoveCommandTests {
    /// A commit without an answer may have been made.
    @Test func anUnknownEndIsToldAsUnknown() {
        let unknown = ClientError.server(ServerError(code: .outcomeUnknown, message: "Lost."))
        for error in [ClientError.disconnected(nil), .timedOut, unknown] {
            let message = MoveCommand.notClosed("shop", error).message
            #expect(message.contains("it is not known whether shop is closed"))
            #expect(message.contains("SELECT name FROM sqlite_schema WHERE name LIKE 'litebase_moved_%'"))
        }
        let refused = ClientError.server(ServerError(code: .syntaxError, message: "No."))
        #expect(MoveCommand.notClosed("shop", refused).message.contains("It is in use as before"))
    }
}
