// One line for the operator, independent of where it goes.

/// Severities in the order of syslog(3), most severe first.
public enum LogLevel: Int, Comparable, CaseIterable, Sendable {
    case error = 3
    case warning = 4
    case notice = 5
    case info = 6
    case debug = 7

    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    /// The spelling of `--log-level`.
    ///
    /// Spelled out, because the name by reflection takes a tenth of a start's user time.
    public var name: String {
        switch self {
        case .error: "error"
        case .warning: "warning"
        case .notice: "notice"
        case .info: "info"
        case .debug: "debug"
        }
    }

    public init?(name: String) {
        guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }
}

/// An event, for people (`message`) and for programs (`fields`).
///
/// It never contains a secret, a parameter's value or, unless configured, SQL text.
public struct LogRecord: Sendable {
    public var level: LogLevel
    /// One sentence.
    public var message: String
    /// Names as in the journal, upper case with prefix `LITEBASE_`.
    public var fields: [(name: String, value: String)]
    /// 128-bit id in hexadecimal for the journal's catalog; `nil` where none is assigned.
    public var messageID: String?

    public init(_ level: LogLevel, _ message: String, fields: [(name: String, value: String)] = [], id: String? = nil) {
        self.level = level
        self.message = message
        self.fields = fields
        messageID = id
    }
}
