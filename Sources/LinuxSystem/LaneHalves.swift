// The two halves of a side of a lane: what it reads and what it writes, each with a state of its own.
//
// See LaneRings.swift for what is trusted.

internal import Synchronization

/// What is where in the memory of a lane.
enum LaneLayout {
    static let headerByteCount = 4_096
    /// "LiteLane", as a little-endian number.
    static let magic: UInt64 = 0x656e_614c_6574_694c
    static let version: UInt32 = 1
    static let versionOffset = 8
    static let requestSizeOffset = 12
    static let replySizeOffset = 16
    // Each word is in a cache line of its own, so that writing one takes no other from whoever reads it.
    static let requestWritten = 128
    static let clientSleeps = 192
    static let requestRead = 256
    static let daemonSleeps = 320
    static let replyWritten = 384
    static let replyRead = 512
}

/// One ring, as it is in the memory.
struct LaneRing {
    typealias Position = UnsafeMutablePointer<Atomic<UInt64>>

    let bytes: UnsafeMutableRawPointer
    let byteCount: Int
    let written: Position
    let read: Position

    init(_ base: UnsafeMutableRawPointer, at start: Int, byteCount: Int, written: Int, read: Int) {
        bytes = base + start
        self.byteCount = byteCount
        self.written = (base + written).assumingMemoryBound(to: Atomic<UInt64>.self)
        self.read = (base + read).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Where the byte with that number is.
    func offset(_ position: UInt64) -> Int { Int(truncatingIfNeeded: position) & (byteCount &- 1) }
}

/// The words that say which side sleeps.
struct LaneSleep {
    private typealias Flag = UnsafeMutablePointer<Atomic<UInt32>>

    private let own: Flag
    private let peer: Flag

    init(_ base: UnsafeMutableRawPointer, _ side: LaneRings.Side) {
        func flag(_ offset: Int) -> Flag { (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self) }
        let isDaemon = side == .daemon
        own = flag(isDaemon ? LaneLayout.daemonSleeps : LaneLayout.clientSleeps)
        peer = flag(isDaemon ? LaneLayout.clientSleeps : LaneLayout.daemonSleeps)
    }

    /// Says that this side sleeps; whoever has said so looks once more.
    func begin() {
        own.pointee.store(1, ordering: .relaxed)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    func end() { own.pointee.store(0, ordering: .relaxed) }

    /// Whether the other side sleeps, behind a fence; once.
    func takePeer() -> Bool {
        guard peer.pointee.load(ordering: .relaxed) != 0 else { return false }
        return peer.pointee.exchange(0, ordering: .relaxed) != 0
    }
}

/// The half of a side that reads, and sleeps.
///
/// Invariants:
/// - The own position is private; the memory only has a copy of it, for the other side.
/// - A position of the other side is used only if it differs from the own one by at most the size of the ring.
///
/// - Thread: one at a time.
public struct LaneInput: ~Copyable {
    private let memory: SharedMemory
    private let ring: LaneRing
    let sleep: LaneSleep
    private var readCount: UInt64 = 0
    private var hasEnded = false
    /// What `takeMadeRoom` has looked at: bytes were read behind that position.
    private var formerReadCount: UInt64 = 0

    init(_ memory: SharedMemory, _ ring: LaneRing, _ sleep: LaneSleep) {
        self.memory = memory
        self.ring = ring
        self.sleep = sleep
    }

    /// Copies what the other side has written.
    /// - Returns: `.endOfStream` behind the last byte, `.failed` for a position that cannot be.
    public mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome {
        let written = ring.written.pointee.load(ordering: .acquiring)
        let available = written &- readCount
        guard available <= UInt64(ring.byteCount) else { return .failed(.protocolViolation) }
        guard available > 0 else { return hasEnded ? .endOfStream : .wouldBlock }
        let count = min(Int(available), buffer.count)
        let offset = ring.offset(readCount)
        let first = min(count, ring.byteCount &- offset)
        guard let target = buffer.baseAddress else { return .wouldBlock }
        target.copyMemory(from: ring.bytes + offset, byteCount: first)
        if first < count { (target + first).copyMemory(from: ring.bytes, byteCount: count &- first) }
        readCount &+= UInt64(count)
        ring.read.pointee.store(readCount, ordering: .releasing)
        return .bytes(count)
    }

    /// The other side writes nothing more than what is there.
    public mutating func end() { hasEnded = true }

    /// Whether there is something that was not read.
    public var hasUnreadBytes: Bool { ring.written.pointee.load(ordering: .acquiring) != readCount }

    /// The same, or the end; by a load.
    public var hasNews: Bool { ring.written.pointee.load(ordering: .relaxed) != readCount || hasEnded }

    /// From now on the other side has to ring for what it writes.
    /// - Returns: false if there is news, and this side stays awake.
    public borrowing func fallAsleep() -> Bool {
        announceSleep()
        guard hasNews else { return true }
        wakeUp()
        return false
    }

    /// The same for who waits for something else too, and looks at that, and at this, behind the call.
    public borrowing func announceSleep() { sleep.begin() }

    /// The other side need not ring.
    public borrowing func wakeUp() { sleep.end() }

    /// Whether bytes were read that `takeMadeRoom` has not looked at.
    var hasRead: Bool { formerReadCount != readCount }

    /// Whether the other side may wait for the room that was made since the last call; behind a fence.
    mutating func takeMadeRoom() -> Bool {
        // Nobody waits for room but behind a full ring. That it was full shows only now: it may have been filled meanwhile.
        let former = formerReadCount
        formerReadCount = readCount
        return ring.written.pointee.load(ordering: .relaxed) &- former >= UInt64(ring.byteCount)
    }

    /// Whether the other side sleeps and waits for room that was made since the last call. It has to be rung then, once.
    public mutating func mustRing() -> Bool {
        guard hasRead else { return false }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        return takeMadeRoom() && sleep.takePeer()
    }
}

/// The half of a side that writes.
///
/// Invariants: as those of `LaneInput`.
///
/// - Thread: one at a time.
public struct LaneOutput: ~Copyable {
    private let memory: SharedMemory
    private let ring: LaneRing
    private let sleep: LaneSleep
    private var writtenCount: UInt64 = 0
    /// What the other side had read when it was last looked at: only where there is no room by this. A look takes the cache line
    /// from the other side, which has just written it.
    private var peerReadCount: UInt64 = 0
    /// Bytes were written that nobody was rung for.
    private(set) var hasWritten = false

    init(_ memory: SharedMemory, _ ring: LaneRing, _ sleep: LaneSleep) {
        self.memory = memory
        self.ring = ring
        self.sleep = sleep
    }

    /// Copies as much into the ring as it has room for.
    /// - Returns: `.wouldBlock` without room, `.failed` for a position that cannot be.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) -> IOOutcome {
        if bytes.count > knownRoom, !lookForRoom() { return .failed(.protocolViolation) }
        let count = min(bytes.count, knownRoom)
        guard count > 0, let source = bytes.baseAddress else { return .wouldBlock }
        let offset = ring.offset(writtenCount)
        let first = min(count, ring.byteCount &- offset)
        (ring.bytes + offset).copyMemory(from: source, byteCount: first)
        if first < count { ring.bytes.copyMemory(from: source + first, byteCount: count &- first) }
        writtenCount &+= UInt64(count)
        ring.written.pointee.store(writtenCount, ordering: .releasing)
        hasWritten = true
        return .bytes(count)
    }

    /// Bytes for which there was room at the last look.
    private var knownRoom: Int { ring.byteCount &- Int(truncatingIfNeeded: writtenCount &- peerReadCount) }

    /// Looks at what the other side has read.
    /// - Returns: false for a position that cannot be: it never goes back, and never beyond what was written.
    @inline(never)
    private mutating func lookForRoom() -> Bool {
        let read = ring.read.pointee.load(ordering: .acquiring)
        guard read &- peerReadCount <= writtenCount &- peerReadCount else { return false }
        peerReadCount = read
        return true
    }

    /// Bytes in the ring, if the other side says the truth.
    public var unreadByteCount: Int {
        Int(truncatingIfNeeded: writtenCount &- ring.read.pointee.load(ordering: .relaxed))
    }

    /// How many bytes were ever written.
    public var writtenByteCount: UInt64 { writtenCount }

    /// What was written and not read by the other side, which is to be sent in another way.
    /// - Returns: the bytes, and the number of the first of them in the stream; `nil` for a position that cannot be.
    public func unread() -> (start: UInt64, bytes: [UInt8])? {
        let read = ring.read.pointee.load(ordering: .acquiring)
        let count = writtenCount &- read
        guard count <= UInt64(ring.byteCount) else { return nil }
        let offset = ring.offset(read)
        let first = min(Int(count), ring.byteCount &- offset)
        let start = UnsafeRawBufferPointer(start: ring.bytes + offset, count: first)
        let rest = UnsafeRawBufferPointer(start: ring.bytes, count: Int(count) &- first)
        return (read, [UInt8](start) + [UInt8](rest))
    }

    /// Whether there is more room than when there was too little of it.
    public var hasNewRoom: Bool { ring.read.pointee.load(ordering: .relaxed) != peerReadCount }

    mutating func takeWritten() -> Bool {
        defer { hasWritten = false }
        return hasWritten
    }

    /// Whether the other side sleeps, and bytes were written since the last call. It has to be rung then, once.
    public mutating func mustRing() -> Bool {
        guard takeWritten() else { return false }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        return sleep.takePeer()
    }
}
