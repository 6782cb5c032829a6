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
        let client = Box(try LaneRings(mapping: OwnedDescriptor.duplicate(of: daemon.descriptorNumber)))
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

        // Calls of what cannot be copied are not for #expect.
        var sizes: LaneRings.Sizes { rings.sizes }
        var descriptorNumber: Int32 { rings.descriptorNumber }
        var unreadByteCount: Int { rings.unreadByteCount }
        var hasNews: Bool { rings.hasNews }
        func mustRing() -> Bool { rings.mustRing() }
        func fallAsleep() -> Bool { rings.fallAsleep() }
        func wakeUp() { rings.wakeUp() }
        func endInput() { rings.endInput() }
        func wait(forInput: Bool, forRoom: Bool) { rings.wait(forInput: forInput, forRoom: forRoom) }

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
        #expect(daemon.sizes == client.sizes)
        #expect(daemon.sizes.reply == 16_384)
    }

    @Test func otherMemoryIsNoLane() throws {
        let memory = try SharedMemory(name: "other", byteCount: Self.small.byteCount)
        #expect(throws: Errno.invalidArgument) {
            _ = try LaneRings(mapping: OwnedDescriptor.duplicate(of: memory.descriptorNumber))
        }
        let daemon = Box(try LaneRings(Self.small))
        daemon.scribble(UInt32(8_192), at: 12)
        #expect(throws: Errno.invalidArgument) {
            _ = try LaneRings(mapping: OwnedDescriptor.duplicate(of: daemon.descriptorNumber))
        }
    }

    /// Random reads and writes of both sides, over the ends of the rings.
    @Test func bytesArriveInTheirOrder() throws {
        var random = SeededGenerator.fresh
        let (daemon, client) = try Self.lane()
        // Each byte says where it stands. (Parts of one array: a debug build is slow with each element of a sequence.)
        let counted = (0..<5_256).map { UInt8(truncatingIfNeeded: $0) }
        for (writer, reader) in [(client, daemon), (daemon, client)] {
            var (sent, received): (UInt8, UInt8) = (0, 0)
            for _ in 0..<20_000 {
                if Bool.random(using: &random) {
                    let count = Int.random(in: 1...5_000, using: &random)
                    let bytes = Array(counted[Int(sent)..<Int(sent) + count])
                    if case .bytes(let count) = writer.write(bytes) { sent &+= UInt8(truncatingIfNeeded: count) }
                } else {
                    let bytes = try #require(reader.read(Int.random(in: 1...5_000, using: &random)))
                    let expected = Array(counted[Int(received)..<Int(received) + bytes.count])
                    #expect(memcmp(bytes, expected, bytes.count) == 0, "seed \(random.seed)")
                    received &+= UInt8(truncatingIfNeeded: bytes.count)
                }
            }
        }
    }

    @Test func aFullRingTakesNothing() throws {
        let (daemon, client) = try Self.lane()
        #expect(daemon.write([UInt8](repeating: 1, count: 5_000)) == .bytes(4_096))
        #expect(daemon.write([1]) == .wouldBlock)
        #expect(daemon.unreadByteCount == 4_096)
        daemon.wait(forInput: false, forRoom: true)
        #expect(!daemon.hasNews)
        #expect(client.read(10)?.count == 10)
        #expect(daemon.hasNews)
        #expect(daemon.write([UInt8](repeating: 1, count: 5_000)) == .bytes(10))
        #expect(!daemon.hasNews)
    }

    @Test(arguments: [4_097, 1 << 32, UInt64.max, 1 << 63])
    func positionsThatCannotBeAreRefused(_ position: UInt64) throws {
        let (daemon, client) = try Self.lane()
        client.scribble(position, at: 128)
        #expect(daemon.read(10) == nil)
        // That is looked at as soon as the ring would be full otherwise.
        let (other, _) = try Self.lane()
        #expect(other.write([UInt8](repeating: 1, count: 4_096)) == .bytes(4_096))
        other.scribble(position, at: 512)
        #expect(other.write([1]) == .failed(.protocolViolation))
    }

    @Test func aPositionThatGoesBackIsRefused() throws {
        let (daemon, client) = try Self.lane()
        _ = client.write([1, 2, 3])
        #expect(daemon.read(10) == [1, 2, 3])
        client.scribble(UInt64(2), at: 128)
        daemon.wait(forInput: true, forRoom: false)
        #expect(daemon.hasNews)
        #expect(daemon.read(10) == nil)
    }

    /// What the other side says before there is need to look has no effect on what is written where.
    @Test func roomIsLookedForWhereThereIsTooLittle() throws {
        let (daemon, client) = try Self.lane()
        #expect(daemon.write([UInt8](repeating: 1, count: 3_000)) == .bytes(3_000))
        daemon.scribble(UInt64.max, at: 512)
        #expect(daemon.write([UInt8](repeating: 2, count: 1_096)) == .bytes(1_096))
        #expect(client.read(3_000)?.count == 3_000)
        #expect(daemon.write([UInt8](repeating: 3, count: 5_000)) == .bytes(3_000))
        #expect(client.read(5_000) == [UInt8](repeating: 2, count: 1_096) + [UInt8](repeating: 3, count: 3_000))
        client.scribble(UInt64(4_096), at: 512)
        #expect(daemon.write([UInt8](repeating: 4, count: 4_096)) == .bytes(1_096))
        client.scribble(UInt64(4_095), at: 512)
        #expect(daemon.write([4]) == .failed(.protocolViolation), "it went back")
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
        daemon.wait(forInput: true, forRoom: false)
        _ = client.write([1])
        daemon.endInput()
        #expect(daemon.read(1) == [1])
        #expect(daemon.hasNews, "the end is news")
        #expect(daemon.read(1) == nil)
    }

    @Test func aSleeperIsRungOnce() throws {
        let (daemon, client) = try Self.lane()
        daemon.wait(forInput: true, forRoom: false)
        _ = client.write([1])
        #expect(client.mustRing(), "the daemon sleeps at the start")
        _ = client.write([1])
        #expect(!client.mustRing())
        #expect(!daemon.fallAsleep(), "there is something to read")
        _ = daemon.read(10)
        #expect(daemon.fallAsleep())
        #expect(!client.mustRing(), "nothing is new")
        _ = client.write([1])
        #expect(client.mustRing())
        #expect(!client.mustRing())
    }

    @Test func aReaderRingsWhoWaitsForRoom() throws {
        let (daemon, client) = try Self.lane()
        _ = daemon.write([UInt8](repeating: 1, count: 4_096))
        daemon.wait(forInput: false, forRoom: true)
        #expect(daemon.fallAsleep())
        _ = client.read(1)
        #expect(client.mustRing())
    }

    @Test func whoWaitsForSomethingElseIsNotRung() throws {
        let (daemon, client) = try Self.lane()
        client.wait(forInput: true, forRoom: false)
        _ = client.write([1, 2, 3])
        #expect(client.fallAsleep())
        _ = daemon.read(10)
        #expect(!daemon.mustRing(), "it had room all the time")
        _ = daemon.write([1])
        #expect(daemon.mustRing())
    }

    /// The ring is filled while it is read: whoever fell asleep behind it waits for room that is there already.
    @Test func aRingThatIsFilledMeanwhileCounts() throws {
        let (daemon, client) = try Self.lane()
        client.wait(forInput: false, forRoom: true)
        _ = client.write([1, 2, 3])
        _ = daemon.read(1)
        _ = client.write([UInt8](repeating: 1, count: 4_096))
        #expect(client.fallAsleep())
        _ = daemon.read(1)
        #expect(daemon.mustRing())
    }

    /// A peer that writes whatever it likes into all of the memory while it is read: bytes or a refusal come of it, nothing
    /// else.
    @Test func aPeerThatScribblesHarmsItselfOnly() throws {
        var random = SeededGenerator.fresh
        let seed = random.seed
        let rounds = LinuxSystem.Process.environment("LITEBASE_TEST_ROUNDS").flatMap { Int($0) } ?? 1
        let steps = 200_000 * rounds
        let (isDone, hasEnded) = (LinuxSystem.Semaphore(), LinuxSystem.Semaphore())
        let memory = try SharedMemory(name: "hostile", byteCount: Self.small.byteCount)
        // Mapped as by another process: what thread sanitizer would call a race is the purpose.
        let place = try SharedMemory(mapping: OwnedDescriptor.duplicate(of: memory.descriptorNumber))
        try Thread.start(name: "hostile", stackByteCount: 256 << 10) {
            var random = SeededGenerator(seed: seed &+ 1)
            while !isDone.wait(milliseconds: 0) {
                for _ in 0..<1_000 {
                    let offset = 8 * Int.random(in: 0..<(place.bytes.count / 8), using: &random)
                    let word = [128, 192, 320, 512].randomElement(using: &random) ?? 128
                    let value = UInt64.random(in: 0...8_192, using: &random)
                    let anything = Bool.random(using: &random) ? random.next() : value
                    place.bytes.storeBytes(of: anything, toByteOffset: offset, as: UInt64.self)
                    place.bytes.storeBytes(of: value, toByteOffset: word, as: UInt64.self)
                }
            }
            hasEnded.post()
        }
        var (read, refused) = (0, 0)
        var daemon = Box(try LaneRings(memory, Self.small))
        for _ in 0..<steps {
            let isRead = Bool.random(using: &random)
            let count = Int.random(in: 1...5_000, using: &random)
            let outcome = isRead ? daemon.read(count)?.count : nil
            let written = isRead ? nil : daemon.write([UInt8](repeating: 1, count: count))
            _ = (daemon.mustRing(), daemon.fallAsleep(), daemon.unreadByteCount)
            if let outcome {
                #expect(outcome <= 4_096)
                read += outcome
            } else if isRead || written == .failed(.protocolViolation) {
                refused += 1
                daemon = Box(try LaneRings(memory, Self.small))
            } else if case .bytes(let count)? = written {
                #expect(count <= 4_096)
            }
        }
        isDone.post()
        #expect(hasEnded.wait(milliseconds: 30_000))
        #expect(read > 0 && refused > 0, "both happen, seed \(seed)")
    }

    /// Two threads that sleep as often as they can; a ring that is lost leaves one of them asleep for ever.
    @Test func noRingIsLost() throws {
        let (daemon, client) = try Self.lane()
        let (bells, count) = ([LinuxSystem.Semaphore(), LinuxSystem.Semaphore()], 20_000)
        let done = LinuxSystem.Semaphore()
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
    private static func pass(
        _ count: Int, _ end: Box, own: LinuxSystem.Semaphore, peer: LinuxSystem.Semaphore, begins: Bool
    ) -> Bool {
        end.wait(forInput: true, forRoom: false)
        if begins {
            _ = end.write([1])
            if end.mustRing() { peer.post() }
        }
        for _ in 0..<count {
            while end.read(1)?.isEmpty != false {
                if end.fallAsleep() {
                    guard own.wait(milliseconds: 30_000) else { return false }
                    end.wakeUp()
                }
            }
            _ = end.write([1])
            if end.mustRing() { peer.post() }
        }
        return true
    }
}
