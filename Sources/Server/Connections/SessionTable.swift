// The sessions of one connection: those that are open, those that are being opened, and what happened to the others.

internal import DatabaseContract

/// A session that the daemon has ended.
struct EndedSession {
    enum Reason { case idleTransaction, revoked, idleHold, terminated }

    var name: String
    var reason: Reason
}

/// The sessions of one connection.
///
/// What holds:
/// - A name is given once, also by the processes that served the connection before: `lastNumber` only grows.
/// - A session is in the table from `add` to `remove`; `find` sees it as long as it takes requests.
/// - `keptByteCount` is the sum of the sessions' own `keptByteCount`.
/// - `openingCount` counts the calls of `beginOpening` without their `endOpening`.
///
/// - Thread: its connection's loop.
struct SessionTable {
    private let connection: UInt64
    private(set) var open: [Session] = []
    /// Sessions that are being opened.
    private(set) var openingCount = 0
    /// Bytes that the links of open sessions keep between two requests.
    private(set) var keptByteCount = 0
    /// How many were ever opened.
    private(set) var lastNumber: UInt64 = 0
    /// Number of sessions that a former process had opened.
    private(set) var restoredCount: UInt64 = 0
    /// The latest sessions that the daemon has ended.
    private var ended: [EndedSession] = []

    /// The most that are remembered.
    static let endedCountMax = 64

    /// Why a session does not exist.
    enum Absence: Equatable {
        case unknown
        /// It ended with a former process.
        case restarted
        case ended(EndedSession.Reason)
    }

    init(connection: UInt64) { self.connection = connection }

    /// Open sessions, and those that are being opened.
    var count: Int { open.count + openingCount }

    mutating func beginOpening() { openingCount += 1 }

    mutating func endOpening() {
        precondition(openingCount > 0, "a session was opened that nobody asked for")
        openingCount -= 1
    }

    /// Adds a session and names it.
    mutating func add(_ link: any DatabaseLink, _ right: SessionRight) -> Session {
        lastNumber += 1
        let session = Session(name: "\(prefix)\(lastNumber)", link: link, right: right)
        open.append(session)
        return session
    }

    /// - Returns: whether it was there.
    mutating func remove(_ session: Session) -> Bool {
        guard let index = open.firstIndex(where: { $0 === session }) else { return false }
        open.remove(at: index)
        keptByteCount -= session.keptByteCount
        return true
    }

    /// Notes what the link of a session keeps now.
    mutating func noteKept(_ session: Session) {
        let change = session.link.keptByteCount - session.keptByteCount
        guard change != 0, open.contains(where: { $0 === session }) else { return }
        session.keptByteCount += change
        keptByteCount += change
    }

    /// The session of that name, if it takes requests.
    func find(_ name: UnsafeRawBufferPointer) -> Session? {
        open.first { $0.name.utf8.elementsEqual(name) && $0.isOpen }
    }

    /// The connection whose session has that name, whether it exists or not; `nil` if no session can have it.
    static func connection(ofSession name: String) -> UInt64? {
        guard name.utf8.count <= 48, name.first == "s", let dash = name.firstIndex(of: "-") else { return nil }
        return UInt64(name[..<dash].dropFirst())
    }

    // MARK: Those that are not there any more

    /// Continues the numbering of a former process.
    mutating func restore(count: UInt64) {
        precondition(lastNumber == 0, "sessions were opened before the connection was taken over")
        restoredCount = count
        lastNumber = count
    }

    mutating func remember(ended name: String, _ reason: EndedSession.Reason) {
        ended.append(EndedSession(name: name, reason: reason))
        if ended.count > Self.endedCountMax { ended.removeFirst() }
    }

    func absence(of name: UnsafeRawBufferPointer) -> Absence {
        if name.starts(with: prefix.utf8),
            let number = UInt64(String(decoding: name.dropFirst(prefix.utf8.count).prefix(20), as: UTF8.self)),
            number >= 1, number <= restoredCount
        {
            return .restarted
        }
        guard let session = ended.first(where: { $0.name.utf8.elementsEqual(name) }) else { return .unknown }
        return .ended(session.reason)
    }

    /// The sessions that ended with the former process, as text; `nil` if there were none.
    var restoredText: String? {
        switch restoredCount {
        case 0: nil
        case 1: "The session \(prefix)1 is gone."
        default: "All sessions of this connection, \(prefix)1 to \(prefix)\(restoredCount), are gone."
        }
    }

    private var prefix: String { "s\(connection)-" }
}
