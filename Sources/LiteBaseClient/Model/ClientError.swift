// Everything that can go wrong, as a caller sees it.

public import LinuxSystem

/// An error of the client library.
public enum ClientError: Error, Sendable {
    /// No daemon was found: none of these socket paths exists.
    case noSocket(lookedAt: [String])
    /// The socket is there, but cannot be connected.
    case cannotConnect(Endpoint, Errno)
    /// A user listens there who is not trusted; nothing was sent.
    case untrusted(Endpoint, uid: UInt32, user: String?)
    /// The connection ended while something was still to come, or was closed before.
    case disconnected(Errno?)
    /// The server did not answer in time.
    case timedOut
    /// The server refused or failed the request.
    case server(ServerError)
    /// What arrived is not the protocol.
    case protocolViolation(String)
    /// The request cannot be sent as it is.
    case invalidRequest(String)
    /// What was to be imported or restored could not be read to its end, and the request was cancelled. `detail` says what of it is
    /// in the database all the same.
    case unreadableInput(Errno, detail: String?)
    /// What was exported or copied could not be written into the file that was given.
    case cannotWrite(Errno)
}

extension ClientError: CustomStringConvertible {
    /// One sentence that a person can act on.
    public var description: String {
        switch self {
        case .noSocket(let paths):
            "no LiteBase daemon found: no socket at \(paths.joined(separator: ", ")); start one with "
                + "'systemctl start litebase.socket', 'systemctl --user start litebase.socket' or 'litebased'; a socket "
                + "elsewhere, such as /tmp/litebase.sock, has to be named"
        case .cannotConnect(let endpoint, let error):
            Self.connectText(endpoint, error)
        case .untrusted(let endpoint, let uid, let user):
            Self.untrustedText(endpoint, uid, user)
        case .disconnected(let error):
            "the server closed the connection" + (error.map { " (\($0))" } ?? "")
        case .timedOut:
            "the server did not answer in time"
        case .server(let error):
            error.message
        case .protocolViolation(let what):
            "unexpected answer from the server: \(what)"
        case .invalidRequest(let what):
            what
        case .unreadableInput(let error, _):
            "the input cannot be read: \(error)"
        case .cannotWrite(let error):
            "the file cannot be written: \(error)"
        }
    }

    private static func untrustedText(_ endpoint: Endpoint, _ uid: UInt32, _ user: String?) -> String {
        let who = user.map { "user \($0) (uid \(uid))" } ?? "uid \(uid)"
        return "\(endpoint) is served by \(who), who is neither root nor the daemon's user nor you, so nothing was sent"
            + "; if that is the daemon that you mean, add --trust-user \(user ?? String(uid)), or name it in "
            + "LITEBASE_TRUSTED_USERS"
    }

    private static func connectText(_ endpoint: Endpoint, _ error: Errno) -> String {
        switch error {
        case .connectionRefused, .noSuchFile:
            "no LiteBase daemon answers at \(endpoint) (\(error)); start one with 'systemctl start litebase.socket', "
                + "'systemctl --user start litebase.socket' or 'litebased'"
        case .permissionDenied:
            "not permitted to connect to \(endpoint); ask the administrator to add you to the socket's group"
        default:
            "cannot connect to \(endpoint): \(error)"
        }
    }
}

extension ClientError {
    /// The server's error, where it is one.
    public var serverError: ServerError? {
        if case .server(let error) = self { error } else { nil }
    }
}

/// An error that the server reported.
/// - Source: protocol.md, "Errors"
public struct ServerError: Error, Sendable {
    /// A stable name of the kind of failure. Servers may know more than these.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public var description: String { rawValue }
    }

    /// Where in the statement.
    public struct Position: Hashable, Sendable {
        /// Bytes from the start.
        public let offset: Int64?
        /// From 1.
        public let line: Int64?
        /// From 1.
        public let column: Int64?
    }

    /// Who holds the lock that was wanted.
    public struct Holder: Hashable, Sendable {
        public let uid: Int64?
        public let pid: Int64?
        public let age: Duration?
    }

    public let code: Code
    public let message: String
    public var detail: String?
    public var hint: String?
    public var sqlState: String?
    /// Extended SQLite code, MySQL errno.
    public var vendorCode: Int64?
    public var position: Position?
    /// Which statement of a batch, from 0.
    public var statementIndex: Int64?
    /// Which row of that statement's `rows`, from 0.
    public var rowIndex: Int64?
    /// Whether the same request may succeed later.
    public var isRetryable: Bool = false
    public var retryAfter: Duration?
    public var transaction: TransactionState?
    public var holder: Holder?

    public init(code: Code, message: String) {
        self.code = code
        self.message = message
    }
}

extension ServerError.Code {
    public static let badFrame = Self(rawValue: "bad_frame")
    public static let frameTooLarge = Self(rawValue: "frame_too_large")
    public static let badRequest = Self(rawValue: "bad_request")
    public static let unknownType = Self(rawValue: "unknown_type")
    public static let permissionDenied = Self(rawValue: "permission_denied")
    public static let databaseNotFound = Self(rawValue: "database_not_found")
    public static let sessionNotFound = Self(rawValue: "session_not_found")
    public static let targetNotFound = Self(rawValue: "target_not_found")
    public static let needsSession = Self(rawValue: "needs_session")
    public static let connectFailed = Self(rawValue: "connect_failed")
    public static let driverMissing = Self(rawValue: "driver_missing")
    public static let syntaxError = Self(rawValue: "syntax_error")
    public static let constraintViolation = Self(rawValue: "constraint_violation")
    public static let readOnly = Self(rawValue: "read_only")
    public static let databaseError = Self(rawValue: "database_error")
    public static let busy = Self(rawValue: "busy")
    public static let timeout = Self(rawValue: "timeout")
    public static let cancelled = Self(rawValue: "cancelled")
    public static let limitExceeded = Self(rawValue: "limit_exceeded")
    public static let shuttingDown = Self(rawValue: "shutting_down")
    public static let configurationInvalid = Self(rawValue: "configuration_invalid")
    public static let outcomeUnknown = Self(rawValue: "outcome_unknown")
    public static let transactionRolledBack = Self(rawValue: "transaction_rolled_back")
    public static let internalError = Self(rawValue: "internal")
}
