// Who the daemon is for a server, kept where libmariadb's calls find it for as long as they take.

internal import DatabaseContract
internal import RemoteDatabases

/// User, password and database, as C strings that stay where they are.
///
/// - Thread: any; it never changes.
final class MySQLLogin: Sendable {
    private struct Text: @unchecked Sendable {
        let bytes: UnsafeMutableBufferPointer<CChar>

        init(_ text: String) {
            let terminated = text.utf8CString
            bytes = .allocate(capacity: terminated.count)
            _ = bytes.initialize(from: terminated)
        }

        var address: UnsafePointer<CChar>? { UnsafePointer(bytes.baseAddress) }
    }

    private let texts: (user: Text, password: Text, database: Text?)

    init(user: String, password: String, database: String?) {
        texts = (Text(user), Text(password), database.map(Text.init))
    }

    deinit {
        for text in [texts.user, texts.password, texts.database].compactMap(\.self) { text.bytes.deallocate() }
    }

    var user: UnsafePointer<CChar>? { texts.user.address }
    var password: UnsafePointer<CChar>? { texts.password.address }
    /// `nil`: none.
    var database: UnsafePointer<CChar>? { texts.database?.address }
}
