// Two rings of bytes in memory that a client shares with the daemon (docs/protocol.md, "Fast lane").
//
// Whoever shares the memory can change any of it at any time. So a word of the other side is loaded once, then checked, and
// bytes are copied out before anybody judges them; what this side has to know of itself is never read back from there.

internal import CLinux
internal import Synchronization

/// One side of a lane: a ring that it reads, a ring that it writes, and whether the other side sleeps.
///
/// Invariants:
/// - The own positions are private; the memory only has copies of them, for the other side.
/// - A position of the other side is used only if it differs from the own one by at most the size of the ring.
///
/// - Thread: one at a time.
public struct LaneRings: ~Copyable {
    /// Whose side this is.
    public enum Side: Sendable { case daemon, client }

    /// Sizes of the rings, powers of two.
    public struct Sizes: Equatable, Sendable {
        public let request: Int
        public let reply: Int

        public static let byteCountMin = 4 << 10
        public static let byteCountMax = 1 << 20
        public static let standard = Sizes(request: 64 << 10, reply: 256 << 10)

        /// The next possible sizes.
        public init(request: Int, reply: Int) {
            self.request = Self.possible(request)
            self.reply = Self.possible(reply)
        }

        private static func possible(_ wanted: Int) -> Int {
            var byteCount = byteCountMin
            while byteCount < wanted, byteCount < byteCountMax { byteCount *= 2 }
            return byteCount
        }

        /// Bytes of the memory.
        public var byteCount: Int { Layout.headerByteCount + request + reply }
    }

    /// Where the rings begin in the memory.
    public static let headerByteCount = Layout.headerByteCount

    private enum Layout {
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

    private typealias Position = UnsafeMutablePointer<Atomic<UInt64>>
    private typealias Flag = UnsafeMutablePointer<Atomic<UInt32>>

    /// One ring, as it is in the memory.
    private struct Ring {
        let bytes: UnsafeMutableRawPointer
        let byteCount: Int
        let written: Position
        let read: Position

        /// Where the byte with that number is.
        func offset(_ position: UInt64) -> Int { Int(truncatingIfNeeded: position) & (byteCount &- 1) }
    }

    /// As the daemon has made them.
    public let sizes: Sizes
    private let memory: SharedMemory
    private let incoming: Ring
    private let outgoing: Ring
    private let ownSleep: Flag
    private let peerSleep: Flag
    /// Of the incoming ring.
    private var readCount: UInt64 = 0
    /// Of the outgoing ring.
    private var writtenCount: UInt64 = 0
    /// What the other side had read of the outgoing ring when it was last looked at.
    private var peerReadCount: UInt64 = 0
    private var isWaitingForInput = false
    private var isWaitingForRoom = false
    private var hasInputEnded = false
    /// What `mustRing` has not looked at: bytes were written, and others were read behind that position.
    private var hasWritten = false
    private var formerReadCount: UInt64 = 0

    /// Makes the memory, as the daemon.
    public init(_ sizes: Sizes) throws(Errno) {
        try self.init(SharedMemory(name: "litebase-lane", byteCount: sizes.byteCount), sizes)
    }

    /// Begins in memory of that size.
    init(_ memory: SharedMemory, _ sizes: Sizes) throws(Errno) {
        guard let base = memory.bytes.baseAddress, memory.bytes.count == sizes.byteCount else { throw .invalidArgument }
        base.storeBytes(of: Layout.magic, as: UInt64.self)
        base.storeBytes(of: Layout.version, toByteOffset: Layout.versionOffset, as: UInt32.self)
        base.storeBytes(of: UInt32(sizes.request), toByteOffset: Layout.requestSizeOffset, as: UInt32.self)
        base.storeBytes(of: UInt32(sizes.reply), toByteOffset: Layout.replySizeOffset, as: UInt32.self)
        self.init(memory, base, sizes, .daemon)
        ownSleep.pointee.store(1, ordering: .sequentiallyConsistent)
    }

    /// Maps the memory that a daemon has made, as its client.
    /// - Throws: `.invalidArgument` for any other.
    public init(mapping file: consuming OwnedDescriptor) throws(Errno) {
        let memory = try SharedMemory(mapping: file)
        guard let base = memory.bytes.baseAddress, memory.bytes.count >= Layout.headerByteCount,
            base.load(as: UInt64.self) == Layout.magic,
            base.load(fromByteOffset: Layout.versionOffset, as: UInt32.self) == Layout.version
        else { throw .invalidArgument }
        let request = Int(base.load(fromByteOffset: Layout.requestSizeOffset, as: UInt32.self))
        let reply = Int(base.load(fromByteOffset: Layout.replySizeOffset, as: UInt32.self))
        let sizes = Sizes(request: request, reply: reply)
        guard sizes.request == request, sizes.reply == reply, sizes.byteCount == memory.bytes.count else {
            throw .invalidArgument
        }
        self.init(memory, base, sizes, .client)
    }

    private init(_ memory: SharedMemory, _ base: UnsafeMutableRawPointer, _ sizes: Sizes, _ side: Side) {
        self.memory = memory
        self.sizes = sizes
        func position(_ offset: Int) -> Position { (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self) }
        func flag(_ offset: Int) -> Flag { (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self) }
        let requests = Ring(
            bytes: base + Layout.headerByteCount, byteCount: sizes.request, written: position(Layout.requestWritten),
            read: position(Layout.requestRead))
        let replies = Ring(
            bytes: base + Layout.headerByteCount + sizes.request, byteCount: sizes.reply,
            written: position(Layout.replyWritten), read: position(Layout.replyRead))
        let isDaemon = side == .daemon
        incoming = isDaemon ? requests : replies
        outgoing = isDaemon ? replies : requests
        ownSleep = flag(isDaemon ? Layout.daemonSleeps : Layout.clientSleeps)
        peerSleep = flag(isDaemon ? Layout.clientSleeps : Layout.daemonSleeps)
    }

    // MARK: The memory

    /// Bytes of the memory.
    public var byteCount: Int { memory.bytes.count }

    /// Lends the descriptor of the memory, for the other side.
    public var descriptorNumber: Int32 { memory.descriptorNumber }

    /// Closes the descriptor: the other side has one.
    public func closeDescriptor() { memory.closeDescriptor() }

    /// The memory, whose last reference unmaps it: that takes time.
    public var sharedMemory: SharedMemory { memory }

    // MARK: Reading

    /// Copies what the other side has written.
    /// - Returns: `.endOfStream` behind the last byte, `.failed` for a position that cannot be.
    public mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome {
        let written = incoming.written.pointee.load(ordering: .acquiring)
        let available = written &- readCount
        guard available <= UInt64(incoming.byteCount) else { return .failed(.protocolViolation) }
        guard available > 0 else { return hasInputEnded ? .endOfStream : .wouldBlock }
        let count = min(Int(available), buffer.count)
        let offset = incoming.offset(readCount)
        let first = min(count, incoming.byteCount &- offset)
        guard let target = buffer.baseAddress else { return .wouldBlock }
        target.copyMemory(from: incoming.bytes + offset, byteCount: first)
        if first < count { (target + first).copyMemory(from: incoming.bytes, byteCount: count &- first) }
        readCount &+= UInt64(count)
        incoming.read.pointee.store(readCount, ordering: .releasing)
        return .bytes(count)
    }

    /// The other side writes nothing more than what is there.
    public mutating func endInput() { hasInputEnded = true }

    /// Whether there is something that was not read.
    public var hasUnreadBytes: Bool { incoming.written.pointee.load(ordering: .acquiring) != readCount }

    // MARK: Writing

    /// Copies as much into the ring as it has room for.
    /// - Returns: `.wouldBlock` without room, `.failed` for a position that cannot be.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) -> IOOutcome {
        let read = outgoing.read.pointee.load(ordering: .acquiring)
        // It never goes back, and never beyond what was written.
        guard read &- peerReadCount <= writtenCount &- peerReadCount else { return .failed(.protocolViolation) }
        peerReadCount = read
        let used = writtenCount &- read
        let count = min(bytes.count, outgoing.byteCount &- Int(used))
        guard count > 0, let source = bytes.baseAddress else { return .wouldBlock }
        let offset = outgoing.offset(writtenCount)
        let first = min(count, outgoing.byteCount &- offset)
        (outgoing.bytes + offset).copyMemory(from: source, byteCount: first)
        if first < count { outgoing.bytes.copyMemory(from: source + first, byteCount: count &- first) }
        writtenCount &+= UInt64(count)
        outgoing.written.pointee.store(writtenCount, ordering: .releasing)
        hasWritten = true
        return .bytes(count)
    }

    /// Bytes in the outgoing ring, if the other side says the truth.
    public var unreadByteCount: Int {
        Int(truncatingIfNeeded: writtenCount &- outgoing.read.pointee.load(ordering: .relaxed))
    }

    /// How many bytes were ever written.
    public var writtenByteCount: UInt64 { writtenCount }

    /// What was written and not read by the other side, which is to be sent in another way.
    /// - Returns: the bytes, and the number of the first of them in the stream; `nil` for a position that cannot be.
    public func unreadOutput() -> (start: UInt64, bytes: [UInt8])? {
        let read = outgoing.read.pointee.load(ordering: .acquiring)
        let count = writtenCount &- read
        guard count <= UInt64(outgoing.byteCount) else { return nil }
        let offset = outgoing.offset(read)
        let first = min(Int(count), outgoing.byteCount &- offset)
        let start = UnsafeRawBufferPointer(start: outgoing.bytes + offset, count: first)
        let rest = UnsafeRawBufferPointer(start: outgoing.bytes, count: Int(count) &- first)
        return (read, [UInt8](start) + [UInt8](rest))
    }

    /// Whether there is more room than when it was written last.
    public var hasNewRoom: Bool { outgoing.read.pointee.load(ordering: .relaxed) != peerReadCount }

    // MARK: Waiting

    /// Sets what this side waits for.
    public mutating func wait(forInput: Bool, forRoom: Bool) {
        isWaitingForInput = forInput
        isWaitingForRoom = forRoom
    }

    /// Whether the other side has done what this one waits for, by a load.
    public var hasNews: Bool {
        if isWaitingForInput,
            incoming.written.pointee.load(ordering: .relaxed) != readCount || hasInputEnded
        {
            return true
        }
        return isWaitingForRoom && outgoing.read.pointee.load(ordering: .relaxed) != peerReadCount
    }

    /// From now on the other side has to ring.
    /// - Returns: false if there is news, and this side stays awake.
    public borrowing func fallAsleep() -> Bool {
        ownSleep.pointee.store(1, ordering: .relaxed)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard hasNews else { return true }
        wakeUp()
        return false
    }

    /// The other side need not ring.
    public borrowing func wakeUp() { ownSleep.pointee.store(0, ordering: .relaxed) }

    /// Whether the other side sleeps and waits for what was done since the last call. It has to be rung then, once.
    public mutating func mustRing() -> Bool {
        guard hasWritten || formerReadCount != readCount else { return false }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        // Nobody waits for room but behind a full ring. That it was full shows only now: it may have been filled meanwhile.
        let former = formerReadCount
        formerReadCount = readCount
        let hasMadeRoom = incoming.written.pointee.load(ordering: .relaxed) &- former >= UInt64(incoming.byteCount)
        guard hasWritten || hasMadeRoom else { return false }
        hasWritten = false
        guard peerSleep.pointee.load(ordering: .relaxed) != 0 else { return false }
        return peerSleep.pointee.exchange(0, ordering: .relaxed) != 0
    }
}
