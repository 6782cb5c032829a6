// The ids of the messages that an administrator may act on, in one table. systemd/litebase.catalog explains each of them
// (`journalctl -x`); a test compares the two.

public import LinuxSystem

/// The kind of a log message, for the journal's catalog and for the rate limit of the log.
///
/// An id is never used again for something else. New ones: `systemd-id128 new`.
/// - Source: systemd.journal-fields(7), `MESSAGE_ID=`.
public enum MessageID: String, CaseIterable, Sendable {
    // Start and end; by the daemon.
    case listening = "897639bdcd364ab4a916a0332dd24bc6"
    case configurationInvalid = "6c52722dd0554acdab34bcaf297e1b8b"
    case startFailed = "b751f0f50e444215b2c0697b482eb507"
    case settingsUnused = "fd6bc244f1004da3ae6586daac2514da"
    case limitsLowered = "0a42e13e41ee41cbb1810c32ebb8232e"
    case memoryLimits = "defe581758ee448d9cd03c4809b0c72a"
    case connectionsRestored = "967d9ccb5b5b42c6adaa73402966ea1e"
    case descriptorsRefused = "f0d56f0cfb024f889952c8957b2b5eae"
    case idleExit = "532beff64fe9433ab023f72913e4d192"
    case stopRequested = "838a151f863e4c80b2fd1c634c2e81f6"
    case draining = "8f5ce500e6114a6bb5d2b609b1f8026a"
    case drainTimedOut = "ac5860cd066445de9a6f61c47ef4ccf3"
    case stopped = "3a25a290b51b4f1bb48a5338712938e5"
    case loopHung = "51e219612c5f46ec9d72ca8018f85fc4"
    case notificationsLost = "375dd2c3f50e43429a2411a825282b8d"

    // Names in lists that nobody has, at the start and at a reload; by the daemon.
    case namesUnknown = "eec596c74ad24de9bf2499ddc22bce45"

    // Reload; by the daemon.
    case reloaded = "5f43e676d73e4daa81197dd4f4c4342e"
    case reloadFailed = "1019b32888954ac3857e63b6fbe732db"
    case restartNeeded = "01f2df466dff4ced9744dc1c84891c22"

    // Connections and requests; by the server.
    case requestCutOff = "b0fb2c89364045eb9b23928fbe8caef3"
    case userWaits = "c3fe5cca165c4ec58c8809aa42b09869"
    case acceptFailed = "100f94f4e1004bb3b5df912ece1859c2"
    case connectionRefused = "efaa8cc3abcb4e24bc1c9019bc3ceb09"
    case userExhausted = "0cdbc7051d034342834f12466c2dbed2"
    case transactionExpired = "4ade33c0c1df45148cba4ea3ab527b10"
    case holderEnded = "0d03f9024c454e2790bbfb92a804f62b"
    case readerStalled = "7814ac1e7da9459089d391ae7464d709"
    case workTerminated = "95d090f438e942098a3fe9b16b0deeff"
    case accessDenied = "54808baeef0146ee8add9827914670d2"
    case protocolViolation = "da80ed70a47b40d9a7721a36971cecdc"
    case slowStatement = "50dd520d59484ba1bc05481765508bd4"
    case databaseOpened = "96ee6e6bbc4f4e3cb4fe61791a056d5b"
    case databaseFailed = "1297aa3a1cca4708be37accb98162afc"
    case databaseLost = "a56e44222ef54eaaa726961e766684f1"
    case databaseBack = "2f067babec074d7ca5d4375ad5263d95"
    case databaseMoved = "a70e277aecfd4098a57767acc5b2f33b"
    case databaseReplaced = "9d17c4b5a342405eb222b788c7e0803d"
    case databasesShareFile = "3030a2969518474482ee1e8b993678b8"
    case databaseTrouble = "df4972318626438a914871e3353cc33a"

    // The log itself; by `Observer`.
    case suppressed = "da37d09604574b76abf429c25714f6cb"
    // By the daemon's own code.
    case recordsLost = "b0102e8f94d34c18ba915d5b5fb85821"

    /// The plural in messages about suppressed ones.
    var plural: StaticString {
        switch self {
        case .connectionRefused: "refused connections"
        case .userExhausted: "refused requests and replies"
        case .transactionExpired: "sessions with idle transactions"
        case .holderEnded: "sessions and queries that kept from others what these needed"
        case .readerStalled: "clients that did not read"
        case .workTerminated: "requests, sessions and connections that somebody has ended"
        case .accessDenied: "denied requests"
        case .protocolViolation: "protocol violations"
        case .requestCutOff: "requests that a crash has cut off"
        case .userWaits: "users who wait after crashes"
        case .slowStatement: "slow statements"
        case .acceptFailed: "failed attempts to accept a connection"
        case .databaseOpened: "opened databases"
        case .databaseFailed: "databases that cannot be opened"
        case .databaseLost: "databases whose servers cannot be reached"
        case .databaseBack: "databases whose servers can be reached again"
        case .databaseMoved: "databases that another server has taken over"
        case .databaseReplaced: "databases whose files were deleted or replaced"
        case .databasesShareFile: "databases that are one file"
        case .databaseTrouble: "requests that failed for a trouble of the database"
        case .listening, .configurationInvalid, .startFailed, .settingsUnused, .limitsLowered,
            .memoryLimits, .connectionsRestored, .descriptorsRefused, .idleExit, .stopRequested, .draining,
            .drainTimedOut, .stopped, .loopHung, .notificationsLost, .namesUnknown, .reloaded,
            .reloadFailed, .restartNeeded, .suppressed, .recordsLost:
            "the daemon's own state"
        }
    }
}

extension LogRecord {
    /// A record with an id of the table.
    public init(
        _ level: LogLevel, _ message: String, fields: [(name: String, value: String)] = [], id: MessageID
    ) {
        self.init(level, message, fields: fields, id: id.rawValue)
    }
}
