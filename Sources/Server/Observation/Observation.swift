// Every event that is worth reporting, as one type. The log reads it, and so do tests.

public import LinuxSystem

/// Something that happened in the service.
public enum Observation: Sendable {
    /// The daemon accepts connections on an address (`unix:/path` or `tcp:127.0.0.1:port`).
    case listening(address: String, inherited: Bool)
    case connectionOpened(connection: UInt64, peer: PeerCredentials?)
    case connectionClosed(connection: UInt64, peer: PeerCredentials?, requestCount: UInt64)
    case connectionRefused(limitName: StaticString, limit: Int, peer: PeerCredentials?)
    /// A user holds so many bytes in the daemon that a request or a reply was refused.
    case userExhausted(limitName: StaticString, limit: Int, peer: PeerCredentials?)
    /// A session ended because its transaction was left idle; or an import did, in a session or (`nil`) without.
    case transactionExpired(
        connection: UInt64, peer: PeerCredentials?, session: String?, database: String, limit: Int64)
    /// A session or a query ended because it was left idle while others needed what it held.
    case holderEnded(connection: UInt64, peer: PeerCredentials?, what: String, database: String, limit: Int64)
    /// Somebody who may has ended work of the connection `target`: a request or a session, or all of it (`nil`).
    case workTerminated(
        connection: UInt64, peer: PeerCredentials?, what: String?, target: UInt64, targetPeer: PeerCredentials?)
    /// A client was closed because it read nothing of its waiting output.
    case readerStalled(connection: UInt64, peer: PeerCredentials?, limit: Int64, byteCount: Int)
    /// A client tried something without the right to it; `program` is what its process ran a moment later.
    case accessDenied(
        connection: UInt64, peer: PeerCredentials?, right: DeniedRight, database: String?, program: String?)
    /// A peer broke the protocol and was told so.
    case protocolViolation(connection: UInt64, peer: PeerCredentials?, reason: String)
    case requestStarted(RequestFacts)
    case requestFinished(RequestFacts)
    case requestFailed(RequestFacts)
    /// A statement took longer than the configured time; `sql` only if configured.
    case slowStatement(RequestFacts, sql: String?)
    /// A request failed for a reason that only an administrator can remove, such as a full disk.
    case databaseTrouble(RequestFacts, reason: String)
    case acceptFailed(Errno, pauseMilliseconds: Int64)
    case databaseOpened(name: String, path: String)
    case databaseFailed(name: String, reason: String)
    /// The server of a database cannot be reached any more, or never could; `untoldCount`: earlier changes that were
    /// not reported.
    case databaseLost(name: String, reason: String, untoldCount: Int)
    /// It can be reached again.
    case databaseBack(name: String, path: String, lostMilliseconds: Int64, untoldCount: Int)
    /// Of several servers another one is in use.
    case databaseMoved(name: String, host: String, formerHost: String)
    /// The file that was opened, or its log, is not at its path any more.
    case databaseReplaced(name: String, change: String)
    /// Of the configuration.
    case databasesShareFile(SharedFile)
    case reloaded(databaseCount: Int)
    case draining(connectionCount: Int, requestCount: Int)
    /// Connections of a former process continue; others had to be closed.
    case restored(connectionCount: Int, closedCount: Int)
    /// A former process died while a client's request ran.
    case requestCutOff(CutOffRequest)
    /// A user had requests at several crashes in a row, and waits.
    case userWaits(uid: UInt32, crashCount: Int, seconds: Int64)
    case stopped
    /// Messages that the rate limit has suppressed.
    case suppressed(SuppressedMessages)
}

extension Observation {
    /// Its severity and message id; `nil` for those that only debugging shows. Known before any text is made.
    var kind: (level: LogLevel, id: MessageID?) {
        switch self {
        case .connectionOpened, .connectionClosed, .requestStarted, .requestFinished, .requestFailed: (.debug, nil)
        case .listening: (.info, .listening)
        case .protocolViolation: (.info, .protocolViolation)
        case .databaseOpened: (.info, .databaseOpened)
        case .slowStatement: (.notice, .slowStatement)
        case .reloaded: (.notice, .reloaded)
        case .draining: (.notice, .draining)
        case .restored: (.notice, .connectionsRestored)
        case .requestCutOff: (.warning, .requestCutOff)
        case .userWaits: (.warning, .userWaits)
        case .stopped: (.notice, .stopped)
        case .connectionRefused: (.warning, .connectionRefused)
        case .userExhausted: (.warning, .userExhausted)
        case .transactionExpired: (.notice, .transactionExpired)
        case .holderEnded: (.notice, .holderEnded)
        case .readerStalled: (.notice, .readerStalled)
        case .workTerminated: (.notice, .workTerminated)
        case .accessDenied: (.warning, .accessDenied)
        case .databaseTrouble: (.error, .databaseTrouble)
        case .databaseFailed: (.error, .databaseFailed)
        case .databaseLost: (.error, .databaseLost)
        case .databaseBack: (.notice, .databaseBack)
        case .databaseMoved: (.notice, .databaseMoved)
        case .databaseReplaced: (.error, .databaseReplaced)
        case .databasesShareFile: (.warning, .databasesShareFile)
        case .acceptFailed: (.error, .acceptFailed)
        case .suppressed(let messages): (messages.level, .suppressed)
        }
    }

    /// The client that caused it, if there is one.
    var peer: PeerCredentials? {
        switch self {
        case .connectionOpened(_, let peer), .connectionClosed(_, let peer, _), .connectionRefused(_, _, let peer),
            .userExhausted(_, _, let peer), .transactionExpired(_, let peer, _, _, _),
            .holderEnded(_, let peer, _, _, _), .readerStalled(_, let peer, _, _), .accessDenied(_, let peer, _, _, _),
            .workTerminated(_, let peer, _, _, _), .protocolViolation(_, let peer, _):
            peer
        case .requestStarted(let facts), .requestFinished(let facts), .requestFailed(let facts),
            .slowStatement(let facts, _), .databaseTrouble(let facts, _):
            facts.peer
        case .requestCutOff(let request): request.peer
        case .listening, .acceptFailed, .databaseOpened, .databaseFailed, .databaseLost, .databaseBack,
            .databaseMoved, .databaseReplaced, .databasesShareFile, .reloaded, .draining, .restored, .stopped,
            .userWaits, .suppressed:
            nil
        }
    }

    /// The line for the log, with its fields.
    public var record: LogRecord {
        let (level, id) = kind
        let (message, fields) = content
        return LogRecord(level, message, fields: fields, id: id?.rawValue)
    }

    private typealias Content = (message: String, fields: [(name: String, value: String)])

    private var content: Content {
        switch self {
        case .connectionOpened, .connectionClosed, .connectionRefused, .protocolViolation: connectionContent
        case .userExhausted, .transactionExpired, .holderEnded, .readerStalled, .workTerminated: patienceContent
        case .accessDenied(let connection, let peer, let right, let database, let program):
            denialContent(connection, peer, right, database, program)
        case .requestStarted, .requestFinished, .requestFailed, .slowStatement, .databaseTrouble: requestContent
        case .listening(let address, let inherited):
            (
                "IPC server started on \(address)\(inherited ? " (socket from systemd)" : "")",
                [("LITEBASE_ADDRESS", address)]
            )
        case .acceptFailed(let error, let pause):
            ("Cannot accept connections: \(error); next attempt in \(pause) ms", [("ERRNO", "\(error.rawValue)")])
        case .databaseOpened(let name, let path):
            ("Database \(name) opened: \(path)", [("LITEBASE_DATABASE", name), ("LITEBASE_PATH", path)])
        case .databaseFailed(let name, let reason): ("Database \(name): \(reason)", [("LITEBASE_DATABASE", name)])
        case .databaseLost, .databaseBack, .databaseMoved: serverContent
        case .databaseReplaced(let name, let change):
            ("Database \(name): \(change)", [("LITEBASE_DATABASE", name)])
        case .databasesShareFile(let shared):
            ("Databases \(shared.text)", [("LITEBASE_DATABASE", shared.name), ("LITEBASE_PATH", shared.path)])
        case .reloaded(let count):
            ("Configuration reloaded, \(counted(count, "database"))", [("LITEBASE_DATABASES", "\(count)")])
        case .draining(let connections, let requests):
            (
                "Stopping: \(counted(connections, "connection")), \(counted(requests, "request")) running",
                [("LITEBASE_CONNECTIONS", "\(connections)"), ("LITEBASE_REQUESTS", "\(requests)")]
            )
        case .restored(let count, let closedCount):
            (
                "Took over \(counted(count, "connection")) from the former process; \(closedCount) closed",
                [("LITEBASE_CONNECTIONS", "\(count)"), ("LITEBASE_CLOSED", "\(closedCount)")]
            )
        case .requestCutOff(let request): request.content
        case .userWaits(let uid, let count, let seconds):
            (
                "uid \(uid) had requests running at \(count) crashes in a row: its connections wait \(seconds) s",
                [("LITEBASE_PEER_UID", "\(uid)"), ("LITEBASE_CRASHES", "\(count)"), ("LITEBASE_SECONDS", "\(seconds)")]
            )
        case .stopped: ("Stopped", [])
        case .suppressed(let messages): (messages.text, messages.fields)
        }
    }

    private func denialContent(
        _ connection: UInt64, _ peer: PeerCredentials?, _ right: DeniedRight, _ database: String?, _ program: String?
    ) -> Content {
        let what =
            switch right {
            case .database: "may not open database \(database ?? "")"
            case .session: "may not use database \(database ?? "") any more, a session was ended"
            case .url: "may not open a database by this URL"
            case .reload: "may not reload the configuration"
            case .request: "may only ask how the daemon is"
            }
        let shown = program.map { LogText.escaped($0, byteCountMax: 256) }
        return (
            RequestFacts.text(connection, peer, program: shown) + " " + what,
            [("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_DENIED", "\(right)")] + RequestFacts.fields(peer)
                + (database.map { [("LITEBASE_DATABASE", $0)] } ?? [])
                + (shown.map { [("LITEBASE_PEER_EXE", $0)] } ?? [])
        )
    }

    private var connectionContent: Content {
        switch self {
        case .connectionOpened(let connection, let peer):
            (
                RequestFacts.text(connection, peer) + " opened",
                [("LITEBASE_CONNECTION", "\(connection)")] + RequestFacts.fields(peer)
            )
        case .connectionClosed(let connection, let peer, let requestCount):
            (
                RequestFacts.text(connection, peer) + " closed after \(counted(requestCount, "request"))",
                [("LITEBASE_CONNECTION", "\(connection)")] + RequestFacts.fields(peer)
            )
        case .connectionRefused(let name, let limit, let peer):
            (
                "Connection refused\(peer.map { " (uid \($0.uid), pid \($0.pid))" } ?? ""): \(name) = \(limit) is reached",
                [("LITEBASE_LIMIT", "\(name)"), ("LITEBASE_LIMIT_VALUE", "\(limit)")] + RequestFacts.fields(peer)
            )
        case .protocolViolation(let connection, let peer, let reason):
            (
                RequestFacts.text(connection, peer) + " broke the protocol: \(reason)",
                [("LITEBASE_CONNECTION", "\(connection)")] + RequestFacts.fields(peer)
            )
        default: ("", [])
        }
    }

    private var serverContent: Content {
        func told(_ count: Int) -> String { count > 0 ? " (\(counted(count, "change")) before were not told)" : "" }
        return switch self {
        case .databaseLost(let name, let reason, let count):
            (
                "Database \(name) cannot be reached\(told(count)): \(reason)",
                [("LITEBASE_DATABASE", name), ("LITEBASE_UNTOLD", "\(count)")]
            )
        case .databaseBack(let name, let path, let milliseconds, let count):
            (
                "Database \(name) can be reached again after \(milliseconds) ms\(told(count)): \(path)",
                [
                    ("LITEBASE_DATABASE", name), ("LITEBASE_PATH", path), ("LITEBASE_LOST_MS", "\(milliseconds)"),
                    ("LITEBASE_UNTOLD", "\(count)"),
                ]
            )
        case .databaseMoved(let name, let host, let former):
            (
                "Database \(name) is at \(host) now, and was at \(former)",
                [("LITEBASE_DATABASE", name), ("LITEBASE_HOST", host), ("LITEBASE_FORMER_HOST", former)]
            )
        default: ("", [])
        }
    }

    private static func transactionHolder(_ session: String?) -> String {
        session.map { "session \($0)" } ?? "an import"
    }

    private var patienceContent: Content {
        switch self {
        case .userExhausted(let name, let limit, let peer):
            (
                "Refused a request or a reply\(peer.map { " of uid \($0.uid), pid \($0.pid)" } ?? ""): "
                    + "\(name) = \(limit) is reached",
                [("LITEBASE_LIMIT", "\(name)"), ("LITEBASE_LIMIT_VALUE", "\(limit)")] + RequestFacts.fields(peer)
            )
        case .transactionExpired(let connection, let peer, let session, let database, let limit):
            (
                RequestFacts.text(connection, peer)
                    + ": \(Self.transactionHolder(session)) on \(database) ended, its transaction was idle for \(limit) ms",
                [
                    ("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_DATABASE", database),
                    ("LITEBASE_LIMIT", "idle_transaction_ms_max"),
                ] + (session.map { [("LITEBASE_SESSION", $0)] } ?? []) + RequestFacts.fields(peer)
            )
        case .holderEnded(let connection, let peer, let what, let database, let limit):
            (
                RequestFacts.text(connection, peer)
                    + ": \(what) on \(database) ended, it was idle for \(limit) ms while others needed what it held",
                [
                    ("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_DATABASE", database),
                    ("LITEBASE_LIMIT", "idle_hold_ms_max"),
                ] + RequestFacts.fields(peer)
            )
        case .workTerminated(let connection, let peer, let what, let target, let targetPeer):
            (
                RequestFacts.text(connection, peer) + " has ended " + (what.map { "\($0) of " } ?? "")
                    + RequestFacts.text(target, targetPeer, noun: "connection"),
                [("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_TARGET_CONNECTION", "\(target)")]
                    + (targetPeer.map {
                        [("LITEBASE_TARGET_UID", "\($0.uid)"), ("LITEBASE_TARGET_PID", "\($0.pid)")]
                    } ?? []) + RequestFacts.fields(peer)
            )
        case .readerStalled(let connection, let peer, let limit, let byteCount):
            (
                RequestFacts.text(connection, peer) + " closed, it left \(byteCount) bytes unread for \(limit) ms",
                [("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_LIMIT", "write_stall_ms_max")]
                    + RequestFacts.fields(peer)
            )
        default: ("", [])
        }
    }

    private var requestContent: Content {
        switch self {
        case .requestStarted(let facts): (facts.subject, facts.fields)
        case .requestFinished(let facts): ("\(facts.subject) done\(facts.duration)", facts.fields)
        case .requestFailed(let facts): ("\(facts.subject) failed\(facts.failure)\(facts.duration)", facts.fields)
        case .slowStatement(let facts, let sql):
            (
                "Slow statement: \(facts.subject) \(facts.code == nil ? "done" : "failed")\(facts.failure)\(facts.duration)"
                    + (facts.rowCount.map { ", \(counted($0, "row"))" } ?? "")
                    + (sql.map { ": \($0)" } ?? ""),
                facts.fields + (sql.map { [("LITEBASE_SQL", $0)] } ?? [])
            )
        case .databaseTrouble(let facts, let reason):
            ("\(facts.subject) failed\(facts.failure): \(reason)", facts.fields)
        default: ("", [])
        }
    }
}

/// "1 row", "2 rows".
func counted(_ count: some BinaryInteger, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
