// What was committed to a database, for those who want to hear of it.
//
// A commit is one entry, or part of one: neighbours that name the same relations share an entry, so a table that is written all
// the time takes no room. Whoever listens keeps only a number, that of the last change it was told; what has come since is put
// together when it asks. So a slow listener costs nothing, and one that is too far behind is told that it has missed something.

internal import LinuxSystem
internal import Synchronization

/// What a database promises to tell.
public enum ChangeCoverage: String, Sendable {
    /// Every commit, of other programs, too.
    case allWriters = "all_writers"
    /// Every commit that the daemon makes.
    case daemonWriters = "daemon_writers"
    /// Every message that is sent to the channels.
    case channels
}

/// Why it cannot be told what has changed: whoever has read anything has to read it again.
public enum ChangeGap: String, Sendable {
    /// Another program has written, and nobody knows where.
    case otherProgram = "other_program"
    /// The transaction had begun before anybody listened.
    case begunBefore = "begun_before"
    /// Another file is in the place of the former one.
    case replaced
    /// It is too long ago, or was told by another process.
    case positionUnknown = "position_unknown"
    /// More relations have changed than are told at once, or more messages have come than are kept for somebody.
    case tooMany = "too_many"
    /// The connection to the server was lost; it is there again.
    case connectionLost = "connection_lost"
    /// A message was larger than any may be.
    case tooLarge = "too_large"
    /// A statement was committed of which it is not certain what all it has changed.
    case unknownRelations = "unknown_relations"
    /// The connection was lost while a statement ran, or a transaction was committed; or it is known by now to have ended.
    case mayHaveWritten = "may_have_written"
}

/// Something that tells its changes.
///
/// - Thread: any.
public protocol ChangeSource: AnyObject, Sendable {
    var feed: ChangeFeed { get }
    var coverage: ChangeCoverage { get }
    /// Those who listen may read all relations; else names are not for them, and they are told that something has changed.
    var tellsNames: Bool { get }
    /// Has every commit told from `done` on, until nobody listens any more. To be called after a listener was added.
    /// - Parameters:
    ///   - context: of a loop that may do what is to be done all the time.
    ///   - done: called once, on any thread, with the reason why it cannot be.
    func begin(_ context: DriverContext, _ done: @escaping @Sendable (DriverError?) -> Void)
}

extension ChangeSource {
    public var tellsNames: Bool { true }
}

/// The changes of one database.
///
/// - Thread: any.
public final class ChangeFeed: Sendable {
    /// What has changed since a number.
    public struct News: Sendable {
        /// The number of the last change in it.
        public var number: UInt64
        /// Names of relations, each once, in no order.
        public var relations: [String]
        public var changesSchema: Bool
        /// `relations` are not all.
        public var gap: ChangeGap?
    }

    private struct Entry {
        /// The number of its last change; it has all between that of the entry before and this.
        var number: UInt64
        var relations: [String]
        var changesSchema: Bool
        var gap: ChangeGap?

        var byteCount: Int { relations.reduce(0) { $0 + MemoryLayout<String>.stride + $1.utf8.count } }
    }

    private struct State {
        var entries: [Entry] = []
        /// Of their names.
        var byteCount = 0
        var number: UInt64 = 0
        /// What was up to this number is not known any more.
        var forgottenNumber: UInt64 = 0
        var listeners: [UInt64: @Sendable () -> Void] = [:]
        var lastListener: UInt64 = 0
        var onDesertion: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    private let positions = FeedPositions()

    /// Entries that are kept; twice as many are there at most.
    private static let entryCountMax = 256
    /// Of the names of all that are there, in bytes.
    private static let byteCountMax = 1 << 20
    /// Relations that are told at once.
    private static let relationCountMax = 1_000

    public init() {}

    // MARK: Telling

    /// A commit is durable, and has changed those relations, each once and with a few KiB of names: from now on whoever asks is told.
    public func tell(_ relations: [String], changesSchema: Bool, gap: ChangeGap? = nil) {
        let listeners = state.withLock { state in
            state.number += 1
            let entry = Entry(number: state.number, relations: relations, changesSchema: changesSchema, gap: gap)
            Self.append(entry, to: &state)
            return Array(state.listeners.values)
        }
        for wake in listeners { wake() }
    }

    /// Something has changed, and it is not known what.
    public func tell(_ gap: ChangeGap) { tell([], changesSchema: false, gap: gap) }

    private static func append(_ entry: Entry, to state: inout State) {
        if let last = state.entries.indices.last, state.entries[last].relations == entry.relations,
            state.entries[last].changesSchema == entry.changesSchema, state.entries[last].gap == entry.gap
        {
            state.entries[last].number = entry.number
            return
        }
        state.entries.append(entry)
        state.byteCount += entry.byteCount
        guard state.entries.count >= 2 * entryCountMax || state.byteCount > byteCountMax else { return }
        let count = max(1, state.entries.count / 2)
        state.forgottenNumber = state.entries[count - 1].number
        state.byteCount -= state.entries[..<count].reduce(0) { $0 + $1.byteCount }
        state.entries.removeFirst(count)
    }

    /// Nothing is told any more: what changes from now on is missed by everybody.
    public func pause() {
        state.withLock { state in
            state.number += 1
            state.forgottenNumber = state.number
            state.entries = []
            state.byteCount = 0
        }
    }

    // MARK: Listening

    /// Has `wake` called after each change, on any thread.
    /// - Returns: what `remove` takes.
    public func add(_ wake: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.lastListener += 1
            state.listeners[state.lastListener] = wake
            return state.lastListener
        }
    }

    public func remove(_ listener: UInt64) {
        let onDesertion = state.withLock { state in
            state.listeners[listener] = nil
            return state.listeners.isEmpty ? state.onDesertion : nil
        }
        onDesertion?()
    }

    /// Has `body` called on any thread when nobody listens any more.
    package func setOnDesertion(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onDesertion = body } }

    package var isDeserted: Bool { state.withLock { $0.listeners.isEmpty } }

    /// The number of the last change.
    public var number: UInt64 { state.withLock { $0.number } }

    /// What has changed since a number.
    /// - Returns: `nil` for nothing.
    public func news(since number: UInt64) -> News? {
        state.withLock { state in
            guard number != state.number else { return nil }
            var news = News(number: state.number, relations: [], changesSchema: false)
            guard number >= state.forgottenNumber, number < state.number else {
                news.gap = .positionUnknown
                return news
            }
            var known: Set<String> = []
            for entry in state.entries.reversed() {
                if entry.number <= number { break }
                news.changesSchema = news.changesSchema || entry.changesSchema
                news.gap = news.gap ?? entry.gap
                news.relations += entry.relations.filter { known.insert($0).inserted }
                guard known.count > Self.relationCountMax else { continue }
                news.relations = []
                news.gap = news.gap ?? .tooMany
                break
            }
            return news
        }
    }

    // MARK: Positions as clients have them

    /// A number as text, which also says whose number it is.
    public func position(_ number: UInt64) -> String { positions.position(number) }

    /// The number of a position, if nothing since is forgotten.
    public func number(at position: some StringProtocol) -> UInt64? {
        guard let number = positions.number(at: position) else { return nil }
        return state.withLock { number >= $0.forgottenNumber && number <= $0.number ? number : nil }
    }
}
