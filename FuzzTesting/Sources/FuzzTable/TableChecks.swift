// What must hold for any bytes that stand on a page of a table. EngineTests replays the corpus with this, too.

@testable import DatabaseContract
@testable import SQLiteEngine

/// Traps when something does not hold that must.
enum TableChecks {
    static func check(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= pageByteCountMin else { return }
        // As long as the page: address sanitizer sees what is read behind it.
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
        defer { page.deallocate() }
        page.copyMemory(from: bytes)
        for number in [1, 2] as [UInt32] { check(UnsafeRawBufferPointer(page), number) }
    }

    /// The least that a page has; of the first one, 100 bytes are the file's header.
    private static let pageByteCountMin = 112

    private static func check(_ bytes: UnsafeRawBufferPointer, _ number: UInt32) {
        guard let base = bytes.baseAddress,
            let page = TablePage(base, usableByteCount: bytes.count, number: number)
        else { return }
        let numbers = (0..<page.cellCount).map { page.rowNumber($0) }
        if page.isLeaf {
            for index in 0..<page.cellCount { check(page, index, numbers[index]) }
        } else {
            for index in 0...page.cellCount { _ = page.child(index) }
        }
        checkSearch(page, numbers.compactMap { $0 })
    }

    private static func check(_ page: TablePage, _ index: Int, _ number: Int64?) {
        guard let (rowNumber, record) = page.record(index) else { return }
        precondition(rowNumber == number, "a record has the number of its cell")
        for fieldCount in [1, 3, 200] {
            withUnsafeTemporaryAllocation(of: TableRecord.Field.self, capacity: fieldCount) { fields in
                guard let found = record.find(fields) else { return }
                precondition(found <= fieldCount, "no more fields than were wanted")
                let sink = ReadingSink()
                for field in fields.prefix(found) {
                    for isReal in [false, true] { _ = record.push(field, isReal: isReal, to: sink) }
                }
                precondition(sink.valueCount == 2 * found, "each field has a value")
            }
        }
    }

    /// Among numbers that ascend each is found; bounds that are true change nothing.
    private static func checkSearch(_ page: TablePage, _ numbers: [Int64]) {
        guard let first = numbers.first, let last = numbers.last else { return }
        let isWhole = numbers.count == page.cellCount && zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }
        for wanted in [first &- 1, first, numbers[numbers.count / 2], last, last &+ 1, 0, .min, .max] {
            let found = page.search(wanted, within: .min...(.max))
            guard let found else {
                precondition(!isWhole, "every cell can be read")
                continue
            }
            precondition((0...page.cellCount).contains(found), "a place is on the page")
            // Of a page that another one says something wrong of, anything may come but a trap.
            for bounds in [.min...(-1), 0...(.max), wanted...wanted] as [ClosedRange<Int64>] {
                _ = page.search(wanted, within: bounds)
            }
            guard isWhole else { continue }
            let expected = numbers.firstIndex { $0 >= wanted } ?? numbers.count
            precondition(found == expected, "the first number that is not less")
            if (first...last).contains(wanted) {
                precondition(page.search(wanted, within: first...last) == expected, "bounds change nothing")
            }
        }
    }
}

/// Reads every byte of what it gets.
private final class ReadingSink: RowSink {
    private(set) var valueCount = 0
    private var sum: UInt8 = 0

    private func read(_ bytes: UnsafeRawBufferPointer) {
        valueCount += 1
        for byte in bytes { sum ^= byte }
    }

    override func null() { valueCount += 1 }
    override func integer(_ value: Int64) { valueCount += 1 }
    override func real(_ value: Double) {
        precondition(!value.isNaN, "NULL instead of what is not a number")
        valueCount += 1
    }
    override func text(_ bytes: UnsafeRawBufferPointer) { read(bytes) }
    override func blob(_ bytes: UnsafeRawBufferPointer) { read(bytes) }
}
