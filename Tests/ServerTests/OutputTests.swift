// The output of a connection: what comes out is what went in, in that order, whatever was copied, handed over or sent in part.

import ByteBuffers
import LiteBaseTesting
import Testing

@testable import Server

@Suite("Output")
struct OutputTests {
    private static func bytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    @Test func bytesComeOutInTheirOrder() {
        var seeds = SeededGenerator.fresh
        for round in 0..<300 {
            let seed = seeds.next()
            var generator = SeededGenerator(seed: seed)
            let place = "round \(round), seed \(seed) of LITEBASE_TEST_SEED=\(seeds.seed)"
            var output = Output()
            var expected: [UInt8] = []
            var (handedOverCount, spentCount) = (0, 0)
            for _ in 0..<200 {
                switch Int.random(in: 0..<5, using: &generator) {
                case 0, 1:
                    let reply = Self.bytes(Int.random(in: 0...40, using: &generator), &generator)
                    expected += reply
                    output.tail.append(reply)
                case 2:
                    let rows = Self.bytes(Int.random(in: 0...200, using: &generator), &generator)
                    var buffer = ByteBuffer()
                    buffer.append(rows)
                    expected += rows
                    if !rows.isEmpty { handedOverCount += 1 }
                    output.take(over: &buffer)
                    let isEmpty = buffer.isEmpty
                    #expect(isEmpty, "\(place)")
                default:
                    let next = output.next
                    #expect(next.isEmpty == expected.isEmpty && next.elementsEqual(expected[..<next.count]), "\(place)")
                    let count = Int.random(in: 0...next.count, using: &generator)
                    expected.removeFirst(count)
                    if let spent = output.consume(count) {
                        spentCount += 1
                        let isWhole = spent.isEmpty && spent.capacity > 0
                        #expect(isWhole, "\(place)")
                    }
                }
                let (count, isEmpty) = (output.count, output.isEmpty)
                #expect(count == expected.count && isEmpty == expected.isEmpty, "\(place)")
            }
            var rest: [UInt8] = []
            output.forEach { rest += $0 }
            #expect(rest == expected, "\(place)")
            var droppedCount = 0
            output.removeAll { buffer in
                if buffer.capacity > 0 { droppedCount += 1 }
                buffer.releaseStorage()
            }
            let isEmpty = output.isEmpty && output.count == 0 && output.next.isEmpty
            #expect(isEmpty, "\(place)")
            #expect(spentCount <= handedOverCount && (spentCount > 0 || droppedCount > 0), "\(place)")
        }
    }

    @Test func aBufferIsNotCopied() {
        var output = Output()
        var addresses: [UnsafeRawPointer?] = []
        for _ in 0..<2 {
            output.tail.append([1, 2])
            var buffer = ByteBuffer()
            buffer.append([UInt8](repeating: 7, count: 1_000))
            addresses.append(buffer.readable.baseAddress)
            output.take(over: &buffer)
        }
        var places: [UnsafeRawPointer?] = []
        output.forEach { if $0.count == 1_000 { places.append($0.baseAddress) } }
        #expect(places == addresses)
    }

    /// What was sent can only be what was lent.
    @Test func nothingIsConsumedThatWasNotNext() async {
        await #expect(processExitsWith: .failure) {
            var output = Output()
            output.tail.append([1, 2])
            var buffer = ByteBuffer()
            buffer.append([3, 4, 5])
            output.take(over: &buffer)
            _ = output.consume(3)
        }
    }
}
