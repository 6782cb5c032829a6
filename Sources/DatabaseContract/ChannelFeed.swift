// Messages that a server sends to those who listen to a channel (NOTIFY, PUBLISH).
//
// Unlike changes (ChangeFeed.swift) they are not put together: each is told, in order. The feed keeps the last ones, for all
// loops. What one listener has not taken from its loop yet is kept, and bounded, where that listener is known.

internal import Synchronization

/// What is listened to: a channel, or all channels whose names match a pattern.
public struct ChannelName: Hashable, Sendable {
    public var bytes: [UInt8]
    public var isPattern: Bool

    public init(_ bytes: some Sequence<UInt8>, isPattern: Bool = false) {
        self.bytes = Array(bytes)
        self.isPattern = isPattern
    }
}

/// One message.
///
/// - Thread: any; it never changes.
public final class ChannelMessage: Sendable {
    /// What it was heard by.
    public let name: ChannelName
    /// Where it was sent to.
    public let channel: [UInt8]
    public let payload: [UInt8]
    /// The sender's process on the server, where the server tells it.
    public let pid: Int32?

    public init(_ name: ChannelName, channel: [UInt8], payload: [UInt8], pid: Int32? = nil) {
        self.name = name
        self.channel = channel
        self.payload = payload
        self.pid = pid
    }

    /// About what it takes in memory.
    public var byteCount: Int { 128 + channel.count + name.bytes.count + payload.count }
}

/// What a feed tells.
public enum ChannelEvent: Sendable {
    case message(ChannelMessage)
    /// Messages were missed.
    case gap(ChangeGap)
    /// The server lets nobody listen to that any more.
    case refused(ChannelName, DriverError)

    fileprivate var byteCount: Int { if case .message(let message) = self { message.byteCount } else { 128 } }
}

/// From where on everything is in a feed.
public struct ChannelStart: Sendable {
    /// The number of the last event before.
    public var number: UInt64
    /// Since this number all that was sent to the names is in the feed, and what is missing is there as a gap.
    public var completeSince: UInt64

    public init(number: UInt64, completeSince: UInt64) {
        self.number = number
        self.completeSince = completeSince
    }
}

/// Something that tells messages.
///
/// - Thread: any.
public protocol ChannelSource: AnyObject, Sendable {
    var feed: ChannelFeed { get }
    /// - Throws: if the engine cannot have that name.
    func check(_ name: ChannelName) throws(DriverError)
    /// Has what is sent to those names told, until `remove`. `done` is called at most once, on any thread.
    /// - Returns: what `remove` takes.
    /// - Throws: when the user listens to too many; `done` is not called then.
    func add(
        _ names: [ChannelName], for uid: UInt32,
        _ done: @escaping @Sendable (Result<ChannelStart, DriverError>) -> Void
    ) throws(DriverError) -> UInt64
    func remove(_ number: UInt64)
}

/// The messages of one database.
///
/// - Thread: any.
public final class ChannelFeed: Sendable {
    /// What one loop takes at a time.
    public struct Portion: Sendable {
        public var events: [ChannelEvent]
        /// The number of the first one.
        public var firstNumber: UInt64
        /// There were others before, which are forgotten.
        public var isIncomplete: Bool
        /// More are there.
        public var hasMore: Bool
    }

    private struct Entry {
        var event: ChannelEvent
        /// Bytes of all events up to this one, since the feed was made.
        var endByte: UInt64
    }

    private struct Listener {
        var number: UInt64
        var wake: @Sendable () -> Void
    }

    private struct State {
        /// Without a gap between their numbers.
        var entries: [Entry] = []
        /// What was up to this number is not known any more.
        var forgottenNumber: UInt64 = 0
        var forgottenByte: UInt64 = 0
        var listeners: [UInt64: Listener] = [:]
        var lastListener: UInt64 = 0

        var number: UInt64 { forgottenNumber + UInt64(entries.count) }
        var endByte: UInt64 { entries.last?.endByte ?? forgottenByte }

        /// Bytes of all events up to a number that is not forgotten.
        func endByte(of number: UInt64) -> UInt64 {
            number == forgottenNumber ? forgottenByte : entries[Int(number - forgottenNumber) - 1].endByte
        }

        mutating func append(_ event: ChannelEvent) {
            entries.append(Entry(event: event, endByte: endByte + UInt64(event.byteCount)))
        }

        /// Forgets the oldest ones when there are twice as many as are kept.
        mutating func trim() {
            let (entryCountMax, byteCountMax) = (ChannelFeed.entryCountMax, ChannelFeed.byteCountMax)
            guard entries.count >= 2 * entryCountMax || endByte - forgottenByte >= 2 * byteCountMax else { return }
            let firstByte = endByte - min(endByte, byteCountMax)
            forget(max(entries.count - entryCountMax, entries.firstIndex { $0.endByte > firstByte } ?? entries.count))
        }

        mutating func forget(_ count: Int) {
            guard count > 0 else { return }
            forgottenByte = entries[count - 1].endByte
            forgottenNumber += UInt64(count)
            entries.removeFirst(count)
        }
    }

    private let state = Mutex(State())
    private let positions = FeedPositions()

    /// Events that are kept, and their bytes; twice as many are there at most.
    private static let entryCountMax = 8_192
    private static let byteCountMax: UInt64 = 8 << 20

    public init() {}

    // MARK: Telling

    public func tell(_ events: some Sequence<ChannelEvent>) {
        let wakes = state.withLock { state in
            for event in events { state.append(event) }
            state.trim()
            return state.listeners.values.map(\.wake)
        }
        for wake in wakes { wake() }
    }

    /// Forgets everything, when nobody listens.
    package func removeAll() { state.withLock { $0.forget($0.entries.count) } }

    /// Whether all loops have taken so much that more can be told without being forgotten before they look.
    package var hasRoom: Bool {
        state.withLock { state in
            guard let number = state.listeners.values.map(\.number).min() else { return true }
            let known = max(number, state.forgottenNumber)
            return state.number - known < Self.entryCountMax / 2
                && state.endByte - state.endByte(of: known) < Self.byteCountMax / 2
        }
    }

    // MARK: Listening

    /// Has `wake` called after each event, on any thread.
    /// - Returns: what `remove` takes, and the number of the last event.
    public func add(_ wake: @escaping @Sendable () -> Void) -> (listener: UInt64, number: UInt64) {
        state.withLock { state in
            state.lastListener += 1
            state.listeners[state.lastListener] = Listener(number: state.number, wake: wake)
            return (state.lastListener, state.number)
        }
    }

    public func remove(_ listener: UInt64) { state.withLock { _ = $0.listeners.removeValue(forKey: listener) } }

    /// The number of the last event.
    public var number: UInt64 { state.withLock { $0.number } }

    /// What has come since a listener has taken something.
    public func take(for listener: UInt64, countMax: Int) -> Portion {
        state.withLock { state in
            let number = state.listeners[listener]?.number ?? state.number
            let first = max(number, state.forgottenNumber)
            let start = Int(first - state.forgottenNumber)
            let events = state.entries[start...].prefix(countMax).map(\.event)
            let last = first + UInt64(events.count)
            state.listeners[listener]?.number = last
            return Portion(
                events: events, firstNumber: first + 1, isIncomplete: first > number, hasMore: last < state.number)
        }
    }

    /// What came behind one number, up to another.
    /// - Returns: `nil` if that is not known any more.
    public func events(since number: UInt64, upTo last: UInt64) -> [ChannelEvent]? {
        state.withLock { state in
            guard number >= state.forgottenNumber, last <= state.number else { return nil }
            guard number < last else { return [] }
            let (start, end) = (Int(number - state.forgottenNumber), Int(last - state.forgottenNumber))
            return state.entries[start..<end].map(\.event)
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
