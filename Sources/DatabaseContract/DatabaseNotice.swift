// What a database reports besides the result: notices and warnings.

/// A notice or warning of the database about a statement.
public struct DatabaseNotice: Sendable {
    /// The engine's word, such as "NOTICE" or "WARNING".
    public var severity: String
    public var message: String
    public var sqlState: String?
    public var detail: String?
    public var hint: String?

    public init(severity: String, message: String, sqlState: String?, detail: String?, hint: String?) {
        self.severity = severity
        self.message = message
        self.sqlState = sqlState
        self.detail = detail
        self.hint = hint
    }

    fileprivate var byteCount: Int {
        [severity, message, sqlState, detail, hint].reduce(0) { $0 + ($1?.utf8.count ?? 0) }
    }
}

/// The notices of one run, as many as are kept for its client.
public struct DatabaseNotices: Sendable {
    /// The most notices of one run, and their total size.
    public static let countMax = 100
    public static let byteCountMax = 64 << 10

    public private(set) var kept: [DatabaseNotice] = []
    /// Number of notices for which there was no room.
    public private(set) var droppedCount = 0
    private var byteCount = 0

    public init() {}

    public var isEmpty: Bool { kept.isEmpty && droppedCount == 0 }

    public mutating func append(_ notice: DatabaseNotice) {
        guard kept.count < Self.countMax, notice.byteCount <= Self.byteCountMax - byteCount else {
            droppedCount += 1
            return
        }
        byteCount += notice.byteCount
        kept.append(notice)
    }
}
