// The one error type of the drivers: stable code, a sentence for a person, and the engine's own detail kept verbatim.

/// Why a statement or a link failed.
///
/// One word wide: errors are passed through typed throws and built rarely. Texts are safe to send to the client that
/// sent the statement; they never hold a parameter's value or a secret.
public struct DriverError: Error, Sendable {
    /// Families that every engine maps to; the server translates them one to one into codes of the protocol.
    public enum Code: Sendable {
        case badRequest, needsSession, permissionDenied, connectFailed, driverMissing, outcomeUnknown, syntaxError
        case constraintViolation, readOnly, databaseError, busy, timeout, cancelled, limitExceeded, shuttingDown,
            internalError
    }

    /// Everything that is known; most of it is absent for most errors.
    public struct Details: Sendable {
        public var code: Code
        /// One sentence that a person can act on.
        public var message: String
        public var detail: String?
        public var hint: String?
        /// Five characters (SQL standard and PostgreSQL, appendix A); every error of a database has one.
        public var sqlState: String?
        /// Extended SQLite code, MySQL errno.
        public var vendorCode: Int32?
        /// Where in the SQL text, in bytes from its start.
        public var offset: Int?
        public var isRetryable = false
        /// When to try again, in milliseconds.
        public var retryAfterMilliseconds: Int64?
        /// Which statement, and which of its parameter rows, of a batch failed.
        public var statementIndex: Int?
        public var rowIndex: Int?
        /// Who holds the lock that could not be had.
        public var holder: LockHolder?
        /// The limit that was reached.
        public var limit: DriverLimit?

        /// What happened, and what else is known.
        public var reason: String { message + (detail.map { " \($0)" } ?? "") }
    }

    private final class Storage: Sendable {
        let details: Details

        init(_ details: Details) { self.details = details }
    }

    private let storage: Storage

    public init(_ details: Details) {
        storage = Storage(details)
    }

    public init(_ code: Code, _ message: String, hint: String? = nil, sqlState: String? = nil) {
        self.init(Details(code: code, message: message, hint: hint, sqlState: sqlState))
    }

    public var details: Details { storage.details }
    public var code: Code { storage.details.code }

    /// A sentence of what an engine says, which often begins small and ends without a full stop.
    static func sentence(_ message: String) -> String {
        guard let first = message.first, let last = message.last else { return "The database reported an error." }
        let text = first.uppercased() + message.dropFirst()
        return ".?!".contains(last) ? text : text + "."
    }

    /// The beginning of a text that is too long, up to a character's end, with an ellipsis.
    public static func cut(_ text: UnsafeRawBufferPointer, byteCountMax: Int) -> String {
        var end = min(text.count, byteCountMax)
        while end > 0, end < text.count, text[end] & 0xc0 == 0x80 { end -= 1 }
        return String(decoding: text[..<end], as: UTF8.self) + "…"
    }

    /// The same error with some details changed.
    public func with(_ change: (inout Details) -> Void) -> DriverError {
        var details = storage.details
        change(&details)
        return DriverError(details)
    }

    /// The same error, of one statement of a batch.
    func at(_ position: BatchPosition) -> DriverError {
        with {
            $0.statementIndex = position.statementIndex
            $0.rowIndex = position.rowIndex
        }
    }

    /// The same error with `***` for every secret in its texts.
    func hiding(_ secrets: [String]) -> DriverError {
        func shown(_ text: String) -> String { secrets.reduce(text) { $0.hiding($1) } }
        return with {
            $0.message = shown($0.message)
            $0.detail = $0.detail.map(shown)
            $0.hint = $0.hint.map(shown)
        }
    }
}

/// A limit that a statement met.
public struct DriverLimit: Sendable, Equatable {
    /// As in the configuration; of SQLite's own ones, "sqlite_" and what it limits.
    public var name: StaticString
    public var value: Int64

    public init(name: StaticString, value: Int64) {
        self.name = name
        self.value = value
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.value == right.value && "\(left.name)" == "\(right.name)"
    }
}

/// Owner of a write lock, as told to those who wait for it.
public struct LockHolder: Sendable, Equatable {
    public var uid: UInt32
    public var pid: Int32
    /// When the lock was taken, in nanoseconds of the monotonic clock.
    public var sinceNanoseconds: Int64

    public init(uid: UInt32, pid: Int32, sinceNanoseconds: Int64) {
        self.uid = uid
        self.pid = pid
        self.sinceNanoseconds = sinceNanoseconds
    }
}
