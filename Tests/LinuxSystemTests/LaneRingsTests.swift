// The rings of a lane: bytes in order, positions that cannot be, and no wake-up that is lost.

import Glibc
import LiteBaseTesting
import Testing

@testable import LinuxSystem

@Suite struct LaneRingsTests {
    private static let small = LaneRings.Sizes(request: 4_096, reply: 4_096)

    /// The daemon's end, and the client's end of the same memory.
    private static func lane(_ sizes: LaneRings.Sizes = small) throws -> (Box, Box) {
        let daemon = Box(try LaneRings(sizes))
        let client = Box(try LaneRings(mapping: OwnedDescriptor.duplicate(of: daemon.rings.descriptorNumber)))
        return (daemon, client)
    }

    private final class Box {
        var rings: LaneRings
        init(_ rings: consuming LaneRings) { self.rings = rings }

        func read(_ byteCount: Int) -> [UInt8]? {
            var bytes = [UInt8](repeating: 0, count: byteCount)
            let outcome = bytes.withUnsafeMutableBytes { rings.read(into: $0) }
            if case .bytes(let count) = outcome { return Array(bytes[..<count]) }
            return outcome == .wouldBlock ? [] : nil
        }

        func write(_ bytes: [UInt8]) -> IOOutcome { bytes.withUnsafeBytes { rings.write($0) } }

        /// Changes the memory behind the back of both sides.
        func scribble<Word>(_ word: Word, at offset: Int) {
            let base = rings.descriptorNumber
            withUnsafeBytes(of: word) { _ = pwrite(base, $0.baseAddress, $0.count, off_t(offset)) }
        }
    }

    @Test func sizesArePossibleOnes() {
        #expect(LaneRings.Sizes(request: 1, reply: .max) == LaneRings.Sizes(request: 4_096, reply: 1 << 20))
        #expect(LaneRings.Sizes(request: 4_097, reply: 8_192).request == 8_192)
        #expect(LaneRings.Sizes.standard.byteCount == 4_096 + (64 << 10) + (256 << 10))
    }

    @Test func bothSidesKnowTheSizes() throws {
        let (daemon, client) = try Self.lane(LaneRings.Sizes(request: 4_096, reply: 16_384))
        #expect(daemon.rings.sizes == client.rings.sizes)
        #expect(daemon.rings.sizes.reply == 16_384)
    }

    @Test func otherMemoryIsNoLane() throws {
        let memory = try SharedMemory(name: "other", byteCount: Self.small.byteCount)
        #expect(throws: Errno.invalidArgument) {
            _ = try LaneRings(mapping: OwnedDescriptor.duplicate(of: memory.descriptorNumber))
        }
        let daemon = Box(try LaneRings(Self.small))
        daemon.scribble(UInt32(8_192), at: 12)
        #expect(throws: Errno.invalidArgument) {
            _ = try LaneRings(mapping: OwnedDescriptor.duplicate(of: daemon.rings.descriptorNumber))
        }
    }

    /// Random reads and writes of both sides, over the ends of the rings.
    @Test func bytesArriveInTheirOrder() throws {
        var random = SeededGenerator.fresh
        let (daemon, client) = try Self.lane()
        for (writer, reader) in [(client, daemon), (daemon, client)] {
            var (sent, received): (UInt8, UInt8) = (0, 0)
            for _ in 0..<20_000 {
                if Bool.random(using: &random) {
                    let count = Int.random(in: 1...5_000, using: &random)
                    let bytes = (0..<count).map { sent &+ UInt8(truncatingIfNeeded: $0) }
                    if case .bytes(let count) = writer.write(bytes) { sent &+= UInt8(truncatingIfNeeded: count) }
                } else {
                    let bytes = try #require(reader.read(Int.random(in: 1...5_000, using: &random)))
                    #expect(
                        zip(bytes, 0...).allSatisfy { $0 == received &+ UInt8(truncatingIfNeeded: $1) },
                        "seed \(random.seed)")
                    received &+= UInt8(truncatingIfNeeded: bytes.count)
                }
            }
        }
    }

    @Test func aFullRingTakesNothing() throws {
        let (daemon, client) = try Self.lane()
        #expect(daemon.write([UInt8](repeating: 1, count: 5_000)) == .bytes(4_096))
        #expect(daemon.write([1]) == .wouldBlock)
        #expect(daemon.rings.unreadByteCount == 4_096)
        daemon.rings.wait(forInput: false, forRoom: true)
        #expect(!daemon.rings.hasNews)
        #expect(client.read(10)?.count == 10)
        #expect(daemon.rings.hasNews)
        #expect(daemon.write([UInt8](repeating: 1, count: 5_000)) == .bytes(10))
        #expect(!daemon.rings.hasNews)
    }

    @Test(arguments: [4_097, 1 << 32, UInt64.max, 1 << 63])
    func positionsThatCannotBeAreRefused(_ position: UInt64) throws {
        let (daemon, client) = try Self.lane()
        client.scribble(position, at: 128)
        #expect(daemon.read(10) == nil)
        let (other, _) = try Self.lane()
        other.scribble(position, at: 512)
        #expect(other.write([1]) == .failed(.protocolViolation))
    }

    @Test func aPositionThatGoesBackIsRefused() throws {
        let (daemon, client) = try Self.lane()
        _ = client.write([1, 2, 3])
        #expect(daemon.read(10) == [1, 2, 3])
        client.scribble(UInt64(2), at: 128)
        daemon.rings.wait(forInput: true, forRoom: false)
        #expect(daemon.rings.hasNews)
        #expect(daemon.read(10) == nil)
    }

    @Test func ownPositionsAreNotReadBack() throws {
        let (daemon, client) = try Self.lane()
        _ = client.write([1, 2, 3])
        for offset in [256, 384, 12, 16] { client.scribble(UInt32.max, at: offset) }
        #expect(daemon.read(2) == [1, 2])
        #expect(daemon.read(2) == [3])
        #expect(daemon.write([9]) == .bytes(1))
        #expect(client.read(2) == [9], "it was published again")
    }

    @Test func theEndComesBehindTheLastByte() throws {
        let (daemon, client) = try Self.lane()
        daemon.rings.wait(forInput: true, forRoom: false)
        _ = client.write([1])
        daemon.rings.endInput()
        #expect(daemon.read(1) == [1])
        #expect(daemon.rings.hasNews, "the end is news")
        #expect(daemon.read(1) == nil)
    }

    @Test func aSleeperIsRungOnce() throws {
        let (daemon, client) = try Self.lane()
        daemon.rings.wait(forInput: true, forRoom: false)
        _ = client.write([1])
        #expect(client.rings.mustRing(), "the daemon sleeps at the start")
        _ = client.write([1])
        #expect(!client.rings.mustRing())
        #expect(!daemon.rings.fallAsleep(), "there is something to read")
        _ = daemon.read(10)
        #expect(daemon.rings.fallAsleep())
        #expect(!client.rings.mustRing(), "nothing is new")
        _ = client.write([1])
        #expect(client.rings.mustRing())
        #expect(!client.rings.mustRing())
    }

    @Test func aReaderRingsWhoWaitsForRoom() throws {
        let (daemon, client) = try Self.lane()
        _ = daemon.write([UInt8](repeating: 1, count: 4_096))
        daemon.rings.wait(forInput: false, forRoom: true)
        #expect(daemon.rings.fallAsleep())
        _ = client.read(1)
        #expect(client.rings.mustRing())
    }

    @Test func whoWaitsForSomethingElseIsNotRung() throws {
        let (daemon, client) = try Self.lane()
        client.rings.wait(forInput: true, forRoom: false)
        _ = client.write([1, 2, 3])
        #expect(client.rings.fallAsleep())
        _ = daemon.read(10)
        #expect(!daemon.rings.mustRing(), "it had room all the time")
        _ = daemon.write([1])
        #expect(daemon.rings.mustRing())
    }

    /// The ring is filled while it is read: whoever fell asleep behind it waits for room that is there already.
    @Test func aRingThatIsFilledMeanwhileCounts() throws {
        let (daemon, client) = try Self.lane()
        client.rings.wait(forInput: false, forRoom: true)
        _ = client.write([1, 2, 3])
        _ = daemon.read(1)
        _ = client.write([UInt8](repeating: 1, count: 4_096))
        #expect(client.rings.fallAsleep())
        _ = daemon.read(1)
        #expect(daemon.rings.mustRing())
    }

    /// Two threads that sleep as often as they can; a ring that is lost leaves one of them asleep for ever.
    @Test func noRingIsLost() throws {
        let (daemon, client) = try Self.lane()
        let (bells, count) = ([Semaphore(), Semaphore()], 20_000)
        let done = Semaphore()
        struct End: @unchecked Sendable { let box: Box }
        let far = End(box: client)
        try Thread.start(name: "far", stackByteCount: 256 << 10) {
            Self.pass(count, far.box, own: bells[1], peer: bells[0], begins: false)
            done.post()
        }
        #expect(Self.pass(count, daemon, own: bells[0], peer: bells[1], begins: true))
        #expect(done.wait(milliseconds: 60_000))
    }

    /// Passes a byte to and fro, and sleeps for each.
    @discardableResult
    private static func pass(_ count: Int, _ end: Box, own: Semaphore, peer: Semaphore, begins: Bool) -> Bool {
        end.rings.wait(forInput: true, forRoom: false)
        if begins {
            _ = end.write([1])
            if end.rings.mustRing() { peer.post() }
        }
        for _ in 0..<count {
            while end.read(1)?.isEmpty != false {
                if end.rings.fallAsleep() {
                    guard own.wait(milliseconds: 30_000) else { return false }
                    end.rings.wakeUp()
                }
            }
            _ = end.write([1])
            if end.rings.mustRing() { peer.post() }
        }
        return true
    }
}
