// An error as a client sees it: one sentence, a code, and further details.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// An `error` reply.
///
/// One word wide, as `DriverError`: every request passes places that may throw it, and few do.
/// - Source: docs/protocol.md, Errors.
struct RequestError: Error {
    struct Fields {
        var code: ErrorCode
        var message: String
        var hint: String?
        var detail: String?
        var sqlState: String?
        /// The statement of a batch that it concerns.
        var statementIndex: Int?
        /// Further details from a driver.
        var details: DriverError.Details?
        var retryAfterMilliseconds: Int64?
        var limit: LimitReport?
        /// Whether a retry can help, where that is known better than by the code.
        var isRetryable: Bool?
    }

    private final class Storage: Sendable {
        let fields: Fields

        init(_ fields: Fields) { self.fields = fields }
    }

    private let storage: Storage

    var fields: Fields { storage.fields }
    var code: ErrorCode { storage.fields.code }

    /// The same error with some fields changed.
    func with(_ change: (inout Fields) -> Void) -> RequestError {
        var fields = storage.fields
        change(&fields)
        return RequestError(fields)
    }

    private init(_ fields: Fields) { storage = Storage(fields) }

    init(_ code: ErrorCode, _ message: String, hint: String? = nil) {
        self.init(Fields(code: code, message: message, hint: hint))
    }

    init(_ error: DriverError) {
        let details = error.details
        self.init(
            Fields(
                code: ErrorCode(details.code), message: details.message, hint: details.wordedHint,
                detail: details.detail,
                sqlState: details.sqlState, statementIndex: details.statementIndex, details: details,
                retryAfterMilliseconds: details.retryAfterMilliseconds,
                limit: details.limit.map { LimitReport(name: $0.name, value: $0.value) },
                isRetryable: details.isRetryable))
    }

    init(_ error: DecodeError) {
        self.init(
            Fields(
                code: error.code, message: error.message.capitalizedFirst,
                hint: "A request is a map: {\"id\": 1, \"type\": \"query\", \"data\": {…}}.",
                statementIndex: error.statementIndex))
    }

    init(_ failure: FrameFailure) {
        self.init(failure.code, failure.message, hint: "\(failure.hint)")
    }

    /// The same error of an import, with what its own says of the rows that are there.
    func counting(_ error: DriverError?) -> RequestError {
        guard let detail = error?.details.detail else { return self }
        return with {
            $0.detail = $0.detail ?? detail
            $0.isRetryable = false
        }
    }

    /// Another request with that id has not ended. Their replies could not be distinguished.
    static let idInUse = RequestError(
        .badRequest, "Another request of this connection with the same id has not ended; this one was not begun.",
        hint: "Give each request an id of its own, such as the next number.")

    static func sessionNotFound(_ name: UnsafeRawBufferPointer) -> RequestError {
        RequestError(
            .sessionNotFound, "There is no session \"\(printable(name))\" on this connection.",
            hint: "Open one with db_connect; sessions end with their connection.")
    }

    /// A session of the process that served this connection before.
    static func sessionGone(_ name: UnsafeRawBufferPointer) -> RequestError {
        RequestError(
            .sessionNotFound,
            "The session \"\(printable(name))\" is gone, since the daemon was restarted; an open transaction was rolled back.",
            hint: "Open a new one with db_connect, and repeat the transaction from its start.")
    }

    // PostgreSQL's idle_in_transaction_session_timeout and idle_session_timeout (appendix A).
    private static let idleInTransaction = "25P03"
    private static let idleSession = "57P05"

    /// The same error, because of a limit of time.
    private func reaching(_ limit: LimitName, _ milliseconds: Int64, sqlState: String) -> RequestError {
        with {
            $0.sqlState = sqlState
            $0.limit = LimitReport(name: limit.name, value: milliseconds)
        }
    }

    /// A session whose transaction was left idle.
    static func sessionExpired(_ name: UnsafeRawBufferPointer, limit: Int64) -> RequestError {
        let message =
            "The session \"\(printable(name))\" has ended, since its transaction was idle for \(limit) ms "
            + "(idle_transaction_ms_max); it was rolled back."
        return RequestError(
            .sessionNotFound, message,
            hint: "Open a new one with db_connect, and repeat the transaction from its start."
        ).reaching(.idleTransaction, limit, sqlState: idleInTransaction)
    }

    /// An import whose file was silent while a transaction was open.
    static func importExpired(limit: Int64) -> RequestError {
        RequestError(
            .timeout,
            "The import's file has brought no rows for \(limit) ms (idle_transaction_ms_max), in a transaction.",
            hint: "Have the rows in a file before an import in a transaction begins."
        ).reaching(.idleTransaction, limit, sqlState: idleInTransaction)
    }

    /// A session that was idle while others needed what it held.
    static func sessionHeld(_ name: UnsafeRawBufferPointer, limit: Int64) -> RequestError {
        RequestError(
            .sessionNotFound,
            "The session \"\(printable(name))\" has ended, since it was left idle for \(limit) ms (idle_hold_ms_max) while "
                + "others needed what it held; an open transaction was rolled back.",
            hint: "Open a new one with db_connect, and close it when it is not needed."
        ).reaching(.idleHold, limit, sqlState: idleSession)
    }

    /// A reply that was not read, or whose next page was not requested, while others needed what it held.
    static func replyHeld(limit: Int64) -> RequestError {
        RequestError(
            .timeout,
            "The rows were not taken for \(limit) ms (idle_hold_ms_max), while others needed what the query held.",
            hint: "Read replies as they come, and fetch until more is false or send cancel."
        ).reaching(.idleHold, limit, sqlState: idleSession)
    }

    /// A statement has taken effect, but its rows are not delivered for that reason.
    static func doneWithoutRows(_ reason: RequestError) -> RequestError {
        RequestError(
            .outcomeUnknown, "The statement has taken effect, but not all of its rows are delivered.",
            hint: "Look at what it did; do not send it again."
        ).with {
            $0.detail = reason.fields.message
            $0.limit = reason.fields.limit
            $0.sqlState = reason.fields.sqlState
        }
    }

    /// A session whose client has lost the right to its database.
    static func sessionRevoked(_ name: UnsafeRawBufferPointer) -> RequestError {
        RequestError(
            .sessionNotFound,
            "The session \"\(printable(name))\" has ended, since a change of the configuration took away the right to it; "
                + "an open transaction was rolled back.",
            hint: Remedy.listDatabases.wording
        ).with { $0.sqlState = "42501" }
    }

    /// A session that somebody has ended who may.
    static func sessionTerminated(_ name: UnsafeRawBufferPointer) -> RequestError {
        RequestError(
            .sessionNotFound,
            "The session \"\(printable(name))\" was ended by an administrator, or by its user on another connection; "
                + "an open transaction was rolled back.",
            hint: "The daemon's log says who has ended it."
        ).with { $0.sqlState = "57P01" }  // admin_shutdown (PostgreSQL, appendix A)
    }

    /// Nothing that is called so, or nothing that the caller may know of.
    static func targetNotFound(_ name: String) -> RequestError {
        RequestError(
            .targetNotFound, "There is no \(name) that you may end.",
            hint: "It may have ended. \"activity\" ('litebase top') lists what there is.")
    }

    /// A request without a reply when its process ended.
    static func outcomeUnknown(_ sessions: String?) -> RequestError {
        RequestError(
            .outcomeUnknown, "The daemon was replaced while this request ran; whether it took effect is not known.",
            hint: "Look whether its change is there before you send it again."
        ).with { $0.detail = sessions }
    }

    /// A database that there is not, or that the client may not know of; `known` are those of which it may.
    static func databaseNotFound(_ name: UnsafeRawBufferPointer, among known: [String]) -> RequestError {
        let shown = printable(name)
        let near = Suggestion.nearest(to: shown, in: known).map { "Did you mean \"\($0)\"? " } ?? ""
        return RequestError(
            .databaseNotFound, "There is no database \"\(shown)\" that you may open.",
            hint: near + Remedy.listDatabases.wording)
    }

    /// A request that names no database, from a client that may not open the default one, or without a default one.
    static let noDefaultDatabase = RequestError(
        .databaseNotFound, "There is no default database that you may open.",
        hint: "Name a database; \(Remedy.listDatabases.wording)")

    static let shuttingDown = RequestError(DriverError.stopped(.shuttingDown))

    /// The start of a client's text, to be shown to that client.
    static func printable(_ bytes: UnsafeRawBufferPointer) -> String {
        String(String(decoding: bytes.prefix(256), as: UTF8.self).prefix(64))
    }
}

extension ErrorCode {
    /// The protocol's code for a driver's code.
    init(_ code: DriverError.Code) {
        self =
            switch code {
            case .badRequest: .badRequest
            case .needsSession: .needsSession
            case .permissionDenied: .permissionDenied
            case .connectFailed: .connectFailed
            case .driverMissing: .driverMissing
            case .outcomeUnknown: .outcomeUnknown
            case .syntaxError: .syntaxError
            case .constraintViolation: .constraintViolation
            case .readOnly: .readOnly
            case .databaseError: .databaseError
            case .busy: .busy
            case .timeout: .timeout
            case .cancelled: .cancelled
            case .transactionRolledBack: .transactionRolledBack
            case .limitExceeded: .limitExceeded
            case .shuttingDown: .shuttingDown
            case .internalError: .internal
            }
    }
}

extension String {
    /// The text with a capital first letter.
    var capitalizedFirst: String { (first.map { $0.uppercased() } ?? "") + dropFirst() }
}
