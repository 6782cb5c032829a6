// The one error type of the drivers: a stable code, a sentence for people, and the engine's own text, verbatim.

/// Why a statement or a link failed.
///
/// One word wide, because typed throws pass it and it is made rarely. Texts are safe to send to the client of the
/// statement; they never contain a parameter's value or a secret.
public struct DriverError: Error, Sendable {
    /// Categories that every engine maps to; the server translates them one to one into codes of the protocol.
    public enum Code: Sendable {
        case badRequest, needsSession, permissionDenied, connectFailed, driverMissing, outcomeUnknown, syntaxError
        case constraintViolation, readOnly, databaseError, busy, timeout, cancelled, limitExceeded, shuttingDown,
            internalError, transactionRolledBack
    }

    /// Everything that is known; most of it is absent for most errors.
    public struct Details: Sendable {
        public var code: Code
        /// One sentence that a person can act on.
        public var message: String
        public var detail: String?
        public var hint: String?
        /// What to do first, before what `hint` says.
        public var remedy: Remedy?
        /// Five characters (SQL standard and PostgreSQL, appendix A); every error of a database has one.
        public var sqlState: String?
        /// Extended SQLite code, MySQL errno.
        public var vendorCode: Int32?
        /// Where in the SQL text.
        public var place: TextPlace?
        public var isRetryable: Bool
        /// When to try again, in milliseconds.
        public var retryAfterMilliseconds: Int64?
        /// The statement of a batch that failed, and its parameter row.
        public var statementIndex: Int?
        public var rowIndex: Int?
        /// The holder of the lock that was not available.
        public var holder: LockHolder?
        /// The limit that was reached.
        public var limit: DriverLimit?

        public init(
            code: Code, message: String, detail: String? = nil, hint: String? = nil, remedy: Remedy? = nil,
            sqlState: String? = nil, vendorCode: Int32? = nil, place: TextPlace? = nil, isRetryable: Bool = false
        ) {
            self.code = code
            self.message = message
            self.detail = detail
            self.hint = hint
            self.remedy = remedy
            self.sqlState = sqlState
            self.vendorCode = vendorCode
            self.place = place
            self.isRetryable = isRetryable
        }

        /// The message, with the details if there are any.
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

    public init(
        _ code: Code, _ message: String, hint: String? = nil, remedy: Remedy? = nil, sqlState: String? = nil
    ) {
        self.init(Details(code: code, message: message, hint: hint, remedy: remedy, sqlState: sqlState))
    }

    public var details: Details { storage.details }
    public var code: Code { storage.details.code }

    /// Makes a sentence of an engine's message, which often starts in lower case and has no full stop.
    package static func sentence(_ message: String) -> String {
        guard let first = message.first, let last = message.last else { return "The database reported an error." }
        let text = first.uppercased() + message.dropFirst()
        return ".?!".contains(last) ? text : text + "."
    }

    /// Shortens a text at the end of a character, with an ellipsis.
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
    package func at(_ position: BatchPosition) -> DriverError {
        with {
            $0.statementIndex = position.statementIndex
            $0.rowIndex = position.rowIndex
        }
    }

    /// The same error with `***` for every secret in its texts.
    package func hiding(_ secrets: [String]) -> DriverError {
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
    /// As in the configuration; for SQLite's own limits, "sqlite_" and what is limited.
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
