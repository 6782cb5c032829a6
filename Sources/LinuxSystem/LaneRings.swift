// Two rings of bytes in memory that a client shares with the daemon (docs/protocol.md, "Fast lane").
//
// Whoever shares the memory can change any of it at any time. So a word of the other side is loaded once, then checked, and
// bytes are copied out before anybody judges them; what this side has to know of itself is never read back from there.

internal import Synchronization

/// One side of a lane: a ring that it reads, a ring that it writes, and whether the other side sleeps.
///
/// - Thread: one at a time. Where one thread reads and another one writes, each takes its half (`divide`).
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
        public var byteCount: Int { LaneLayout.headerByteCount + request + reply }
    }

    /// Where the rings begin in the memory.
    public static let headerByteCount = LaneLayout.headerByteCount

    /// As the daemon has made them.
    public let sizes: Sizes
    private let memory: SharedMemory
    private var input: LaneInput
    private var output: LaneOutput
    private var isWaitingForInput = false
    private var isWaitingForRoom = false

    /// Makes the memory, as the daemon.
    public init(_ sizes: Sizes) throws(Errno) {
        try self.init(SharedMemory(name: "litebase-lane", byteCount: sizes.byteCount), sizes)
    }

    /// Begins in memory of that size.
    init(_ memory: SharedMemory, _ sizes: Sizes) throws(Errno) {
        guard let base = memory.bytes.baseAddress, memory.bytes.count == sizes.byteCount else { throw .invalidArgument }
        base.storeBytes(of: LaneLayout.magic, as: UInt64.self)
        base.storeBytes(of: LaneLayout.version, toByteOffset: LaneLayout.versionOffset, as: UInt32.self)
        base.storeBytes(of: UInt32(sizes.request), toByteOffset: LaneLayout.requestSizeOffset, as: UInt32.self)
        base.storeBytes(of: UInt32(sizes.reply), toByteOffset: LaneLayout.replySizeOffset, as: UInt32.self)
        self.init(memory, base, sizes, .daemon)
        input.sleep.begin()
    }

    /// Maps the memory that a daemon has made, as its client.
    /// - Throws: `.invalidArgument` for any other.
    public init(mapping file: consuming OwnedDescriptor) throws(Errno) {
        let memory = try SharedMemory(mapping: file)
        guard let base = memory.bytes.baseAddress, memory.bytes.count >= LaneLayout.headerByteCount,
            base.load(as: UInt64.self) == LaneLayout.magic,
            base.load(fromByteOffset: LaneLayout.versionOffset, as: UInt32.self) == LaneLayout.version
        else { throw .invalidArgument }
        let request = Int(base.load(fromByteOffset: LaneLayout.requestSizeOffset, as: UInt32.self))
        let reply = Int(base.load(fromByteOffset: LaneLayout.replySizeOffset, as: UInt32.self))
        let sizes = Sizes(request: request, reply: reply)
        guard sizes.request == request, sizes.reply == reply, sizes.byteCount == memory.bytes.count else {
            throw .invalidArgument
        }
        self.init(memory, base, sizes, .client)
    }

    private init(_ memory: SharedMemory, _ base: UnsafeMutableRawPointer, _ sizes: Sizes, _ side: Side) {
        self.memory = memory
        self.sizes = sizes
        let requests = LaneRing(
            base, at: LaneLayout.headerByteCount, byteCount: sizes.request, written: LaneLayout.requestWritten,
            read: LaneLayout.requestRead)
        let replies = LaneRing(
            base, at: LaneLayout.headerByteCount + sizes.request, byteCount: sizes.reply,
            written: LaneLayout.replyWritten, read: LaneLayout.replyRead)
        let isDaemon = side == .daemon
        let sleep = LaneSleep(base, side)
        input = LaneInput(memory, isDaemon ? requests : replies, sleep)
        output = LaneOutput(memory, isDaemon ? replies : requests, sleep)
    }

    /// Gives both halves away, for two threads.
    /// - Parameter body: gets them.
    /// - Returns: what `body` returns.
    public consuming func divide<Result>(
        _ body: (consuming LaneInput, consuming LaneOutput) -> Result
    ) -> Result {
        body(input, output)
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

    /// Copies what the other side has written; see `LaneInput.read`.
    public mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome { input.read(into: buffer) }

    /// The other side writes nothing more than what is there.
    public mutating func endInput() { input.end() }

    /// Whether there is something that was not read.
    public var hasUnreadBytes: Bool { input.hasUnreadBytes }

    // MARK: Writing

    /// Copies as much into the ring as it has room for; see `LaneOutput.write`.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) -> IOOutcome { output.write(bytes) }

    /// Bytes in the outgoing ring, if the other side says the truth.
    public var unreadByteCount: Int { output.unreadByteCount }

    /// How many bytes were ever written.
    public var writtenByteCount: UInt64 { output.writtenByteCount }

    /// What was written and not read by the other side; see `LaneOutput.unread`.
    public func unreadOutput() -> (start: UInt64, bytes: [UInt8])? { output.unread() }

    /// Whether there is more room than when there was too little of it.
    public var hasNewRoom: Bool { output.hasNewRoom }

    // MARK: Waiting

    /// Sets what this side waits for.
    public mutating func wait(forInput: Bool, forRoom: Bool) {
        isWaitingForInput = forInput
        isWaitingForRoom = forRoom
    }

    /// Whether the other side has done what this one waits for, by a load.
    public var hasNews: Bool {
        if isWaitingForInput, input.hasNews { return true }
        return isWaitingForRoom && output.hasNewRoom
    }

    /// From now on the other side has to ring.
    /// - Returns: false if there is news, and this side stays awake.
    public borrowing func fallAsleep() -> Bool {
        input.sleep.begin()
        guard hasNews else { return true }
        wakeUp()
        return false
    }

    /// The other side need not ring.
    public borrowing func wakeUp() { input.sleep.end() }

    /// Whether the other side sleeps and waits for what was done since the last call. It has to be rung then, once.
    public mutating func mustRing() -> Bool {
        guard output.hasWritten || input.hasRead else { return false }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        let hasMadeRoom = input.takeMadeRoom()
        guard output.takeWritten() || hasMadeRoom else { return false }
        return input.sleep.takePeer()
    }
}
