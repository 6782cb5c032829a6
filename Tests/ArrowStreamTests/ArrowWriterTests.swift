// What is written for rows: whether batches end where they shall, and which values a column takes. That others can read it is
// tested with their programs (Tests/Protocol/transfers/test_export_arrow.py).

import ByteBuffers
import Testing

@testable import ArrowStream

@Suite struct ArrowWriterTests {
    private typealias Typing = ArrowColumnPlan.ColumnTyping

    private func plans(_ types: Typing...) -> [ArrowColumnPlan] {
        types.enumerated().map { ArrowColumnPlan(name: "c\($0.offset)", type: $0.element) }
    }

    /// The messages of a stream: bytes of the head, and of the body.
    private func messages(_ bytes: [UInt8]) -> [(head: Int, body: Int)] {
        var (offset, found) = (0, [(head: Int, body: Int)]())
        func number(_ place: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[place + $1]) << (8 * $1) } }
        while offset + 8 <= bytes.count {
            #expect(bytes[offset..<(offset + 4)].allSatisfy { $0 == 0xff })
            let head = number(offset + 4)
            if head == 0 { break }
            // `bodyLength` is the fourth field of the root table.
            let table = offset + 8 + number(offset + 8)
            let list = table - number(table)
            let place = table + (number(list + 4 + 6) & 0xffff)
            let body = number(place)
            found.append((head, body))
            #expect(head % 8 == 0 && body % 8 == 0)
            offset += 8 + head + body
        }
        #expect(offset + 8 == bytes.count, "the end is the last message")
        return found
    }

    @Test func aStreamWithoutRowsIsASchemaAndAnEnd() {
        for plans in [[], plans(.fixed(.int64), .byValues, .text)] {
            var writer = ArrowWriter(plans, byteCountMax: 1_000)
            var output = ByteBuffer()
            writer.finish(into: &output)
            #expect(messages(Array(output.readable)).map(\.body) == [0])
        }
    }

    @Test func batchesAreBounded() {
        var writer = ArrowWriter(plans(.fixed(.int64)), byteCountMax: 1 << 20)
        var output = ByteBuffer()
        var batchCount = 0
        for value in 0..<200_000 {
            writer.beginRow()
            writer.integer(Int64(value))
            writer.endRow()
            #expect(writer.byteCount <= 1 << 20)
            guard writer.isBatchFull else { continue }
            writer.writeBatch(into: &output)
            batchCount += 1
            #expect(writer.byteCount == 0)
        }
        writer.finish(into: &output)
        #expect(batchCount == 3)
        #expect(messages(Array(output.readable)).map(\.body) == [0, 65_536 * 8, 65_536 * 8, 65_536 * 8, 3_392 * 8])
    }

    @Test func longValuesEndABatchAndAreNotKept() {
        var writer = ArrowWriter(plans(.fixed(.utf8)), byteCountMax: 1_000)
        var output = ByteBuffer()
        let text = [UInt8](repeating: 0x61, count: 1 << 20)
        writer.beginRow()
        text.withUnsafeBytes { writer.text($0) }
        writer.endRow()
        #expect(writer.isBatchFull && writer.capacity >= 1 << 20)
        writer.writeBatch(into: &output)
        #expect(writer.capacity == 0)
    }

    /// What a column takes of several values, one in each row; the number of the first row that it does not take.
    private func mismatch(_ type: Typing, _ values: [Value], batchAfter: Int = .max) -> Int64? {
        var writer = ArrowWriter(plans(type), byteCountMax: 1 << 20)
        var output = ByteBuffer()
        for (index, value) in values.enumerated() {
            writer.beginRow()
            switch value {
            case .null: writer.null()
            case .bool(let value): writer.bool(value)
            case .integer(let value): writer.integer(value)
            case .unsigned(let value): writer.unsigned(value)
            case .real(let value): writer.real(value)
            case .text(let text): text.withUnsafeBytes { writer.text($0) }
            case .blob(let bytes): bytes.withUnsafeBytes { writer.blob($0) }
            }
            writer.endRow()
            if index + 1 == batchAfter { writer.writeBatch(into: &output) }
        }
        return writer.mismatch?.row
    }

    private enum Value {
        case null, bool(Bool), integer(Int64), unsigned(UInt64), real(Double), text([UInt8]), blob([UInt8])

        static func text(_ text: String) -> Value { .text(Array(text.utf8)) }
    }

    @Test func typesThatAreKnown() {
        #expect(mismatch(.fixed(.int64), [.null, .integer(.min), .integer(.max)]) == nil)
        #expect(mismatch(.fixed(.int64), [.integer(1), .real(1)]) == 2)
        #expect(mismatch(.fixed(.int64), [.text("1")]) == 1)
        #expect(mismatch(.fixed(.int64), [.unsigned(.max)]) == 1)
        #expect(mismatch(.fixed(.uint64), [.integer(0), .unsigned(.max)]) == nil)
        #expect(mismatch(.fixed(.uint64), [.integer(-1)]) == 1)
        #expect(mismatch(.fixed(.float64), [.real(.nan), .real(-.infinity), .integer(1 << 53)]) == nil)
        #expect(mismatch(.fixed(.float64), [.integer(1 << 53 + 1)]) == 1)
        #expect(mismatch(.fixed(.utf8), [.text(""), .text("é")]) == nil)
        #expect(mismatch(.fixed(.utf8), [.text([0xff])]) == 1)
        #expect(mismatch(.fixed(.utf8), [.blob([])]) == 1)
        #expect(mismatch(.fixed(.binary), [.blob([0xff]), .text("a")]) == 2)
        #expect(mismatch(.fixed(.bool), [.bool(true), .integer(1)]) == 2)
        #expect(mismatch(.fixed(.date32), [.text("2000-01-01"), .text("0000-00-00")]) == 2)
    }

    @Test func theFirstBatchDecides() {
        #expect(mismatch(.byValues, [.null, .integer(1), .real(0.5), .integer(2)]) == nil)
        #expect(mismatch(.byValues, [.integer(1 << 53 + 1), .real(0.5)]) == 2)
        #expect(mismatch(.byValues, [.integer(1), .unsigned(.max), .integer(-1)]) == 3)
        #expect(mismatch(.byValues, [.integer(1), .text("a")]) == 2)
        #expect(mismatch(.byValues, [.null, .text("a"), .blob([1])]) == 3)
        #expect(mismatch(.byValues, [.integer(1), .real(0.5)], batchAfter: 1) == 2)
        #expect(mismatch(.byValues, [.null, .integer(1)], batchAfter: 1) == 2)
        #expect(mismatch(.byValues, [.real(1), .integer(2)], batchAfter: 1) == nil)
    }

    @Test func asTextEverythingFits() {
        let all: [Value] = [
            .null, .bool(true), .integer(.min), .unsigned(.max), .real(.nan), .real(0.1), .text("a"), .text([0xff]),
            .blob([0, 1]),
        ]
        #expect(mismatch(.text, all) == nil)
        #expect(mismatch(.text, all, batchAfter: 1) == nil)
    }

    @Test func valuesThatAreTooManyAreDropped() {
        var writer = ArrowWriter(plans(.fixed(.int64)), byteCountMax: 1 << 20)
        var output = ByteBuffer()
        writer.beginRow()
        writer.integer(1)
        writer.text(UnsafeRawBufferPointer(start: nil, count: 0))
        writer.endRow()
        writer.finish(into: &output)
        #expect(messages(Array(output.readable)).map(\.body) == [0, 8])
    }
}
