// Everything worth seeing, as one type. The log is one reader of it; tests are another.

public import LinuxSystem

/// Something that happened in the service.
public enum Observation: Sendable {
    /// The daemon accepts connections on an address (`unix:/path` or `tcp:127.0.0.1:port`).
    case listening(address: String, inherited: Bool)
    case connectionOpened(connection: UInt64, peer: PeerCredentials?)
    case connectionClosed(connection: UInt64, requestCount: UInt64)
    case connectionRefused(limitName: StaticString, limit: Int)
    /// A peer broke the protocol and was told so.
    case protocolViolation(connection: UInt64, reason: String)
    case requestStarted(connection: UInt64, request: String, type: StaticString)
    case requestFinished(connection: UInt64, type: StaticString, microseconds: Int64)
    case requestFailed(
        connection: UInt64, type: StaticString, code: StaticString, sqlState: String?, microseconds: Int64)
    case acceptFailed(Errno, pauseMilliseconds: Int64)
    case databaseOpened(name: String, path: String)
    case databaseFailed(name: String, reason: String)
    case reloaded(databaseCount: Int)
    case reloadFailed(reason: String)
    case draining(connectionCount: Int, requestCount: Int)
    case stopped
    /// What happens outside of the server: start-up, signals, configuration.
    case note(LogRecord)
}

extension Observation {
    /// The line for the log.
    public var record: LogRecord {
        switch self {
        case .listening(let address, let inherited):
            LogRecord(
                .info, "IPC server started on \(address)\(inherited ? " (socket from systemd)" : "")",
                fields: [("LITEBASE_ADDRESS", address)], id: MessageID.listening)
        case .connectionOpened(let connection, let peer):
            LogRecord(
                .debug, "Connection \(connection) opened\(Self.text(peer))",
                fields: [("LITEBASE_CONNECTION", "\(connection)")] + Self.fields(peer))
        case .connectionClosed(let connection, let requestCount):
            LogRecord(
                .debug, "Connection \(connection) closed after \(requestCount) requests",
                fields: [("LITEBASE_CONNECTION", "\(connection)")])
        case .connectionRefused(let name, let limit):
            LogRecord(
                .warning, "Connection refused: \(name) = \(limit) is reached", fields: [("LITEBASE_LIMIT", "\(name)")])
        case .protocolViolation(let connection, let reason):
            LogRecord(
                .info, "Connection \(connection) broke the protocol: \(reason)",
                fields: [("LITEBASE_CONNECTION", "\(connection)")])
        case .requestStarted, .requestFinished, .requestFailed: requestRecord
        case .acceptFailed(let error, let pause):
            LogRecord(
                .error, "Cannot accept connections: \(error); next attempt in \(pause) ms", id: MessageID.acceptFailed)
        case .databaseOpened(let name, let path):
            LogRecord(.info, "Database \(name) opened: \(path)", fields: [("LITEBASE_DATABASE", name)])
        case .databaseFailed(let name, let reason):
            LogRecord(
                .error, "Database \(name): \(reason)", fields: [("LITEBASE_DATABASE", name)],
                id: MessageID.databaseFailed)
        case .reloaded(let count):
            LogRecord(.notice, "Configuration reloaded, \(count) databases", id: MessageID.reloaded)
        case .reloadFailed(let reason):
            LogRecord(.error, "Configuration not reloaded, the old one stays: \(reason)", id: MessageID.reloadFailed)
        case .draining(let connections, let requests):
            LogRecord(
                .notice, "Stopping: \(connections) connections, \(requests) requests running", id: MessageID.draining)
        case .stopped: LogRecord(.notice, "Stopped", id: MessageID.stopped)
        case .note(let record): record
        }
    }

    private var requestRecord: LogRecord {
        switch self {
        case .requestStarted(let connection, let request, let type):
            LogRecord(
                .debug, "Connection \(connection): \(type) \(request)",
                fields: [("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_REQUEST", request)])
        case .requestFinished(let connection, let type, let microseconds):
            LogRecord(
                .debug, "Connection \(connection): \(type) done in \(microseconds) µs",
                fields: [("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_DURATION_US", "\(microseconds)")])
        case .requestFailed(let connection, let type, let code, let sqlState, let microseconds):
            LogRecord(
                .debug, "Connection \(connection): \(type) failed with \(code) in \(microseconds) µs",
                fields: [
                    ("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_CODE", "\(code)"),
                    ("LITEBASE_DURATION_US", "\(microseconds)"),
                ] + (sqlState.map { [("LITEBASE_SQLSTATE", $0)] } ?? []))
        default: LogRecord(.debug, "")
        }
    }

    private static func text(_ peer: PeerCredentials?) -> String {
        peer.map { " by uid \($0.uid) pid \($0.pid)" } ?? ""
    }

    private static func fields(_ peer: PeerCredentials?) -> [(name: String, value: String)] {
        peer.map { [("LITEBASE_PEER_UID", "\($0.uid)"), ("LITEBASE_PEER_PID", "\($0.pid)")] } ?? []
    }
}

/// Ids of the messages that an administrator may act on; the journal's catalog explains them (`systemd/litebase.catalog`).
public enum MessageID {
    public static let listening = "5b1a1bf0c9f94a5d8a3c1c8e2c7f0a01"
    public static let acceptFailed = "5b1a1bf0c9f94a5d8a3c1c8e2c7f0a02"
    public static let databaseFailed = "5b1a1bf0c9f94a5d8a3c1c8e2c7f0a03"
    public static let reloaded = "5b1a1bf0c9f94a5d8a3c1c8e2c7f0a04"
    public static let reloadFailed = "5b1a1bf0c9f94a5d8a3c1c8e2c7f0a05"
    public static let draining = "5b1a1bf0c9f94a5d8a3c1c8e2c7f0a06"
    public static let stopped = "5b1a1bf0c9f94a5d8a3c1c8e2c7f0a07"
}
