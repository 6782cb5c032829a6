// The shared memory in which connections write down where they stand.

import Glibc
import LinuxSystem
import LiteBaseTesting
import Testing
import WireProtocol

@testable import Server

@Suite struct HandoverTests {
    private static func reopened(_ table: HandoverTable) throws -> HandoverTable? {
        HandoverTable(formerProcess: OwnedDescriptor(dup(table.memory.descriptorNumber)))
    }

    @Test func aRecordReadsBackAsItWasWritten() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let table = try HandoverTable(slotCount: 4)
        for _ in 0..<2_000 {
            let texts = (0..<Int.random(in: 0...20, using: &random)).map { _ in
                [UInt8](repeating: 0x61, count: Int.random(in: 0...128, using: &random))
            }
            let framing = [Framing?.none, .lines, .lengthPrefixed].randomElement(using: &random)??.number
            let slot = try #require(table.slot(Int.random(in: 0..<4, using: &random)))
            let number = UInt64.random(in: 0...UInt64.max, using: &random)
            let kinds = texts.map { _ in Int.random(in: 0...3, using: &random) }
            slot.begin(number: number)
            #expect(slot.state == .known && slot.unanswered?.isEmpty == true, "seed \(seed)")
            func request(_ index: Int, _ text: UnsafeRawBufferPointer) -> UnansweredRequest {
                let id: RequestID =
                    switch kinds[index] {
                    case 0: .none
                    case 1: .integer(-Int64(index))
                    case 2: .unsigned(UInt64.max - UInt64(index))
                    default: .string(text)
                    }
                return UnansweredRequest(id: id, encoding: (index % 2 == 0 ? WireEncoding.json : .messagePack).number)
            }
            slot.record(
                framing: framing, int64Style: .string, noticeEncoding: WireEncoding.json.number, sessionCount: 9,
                requestCount: texts.count
            ) { index in
                // The slot copies the text before the next one is asked for.
                texts[index].withUnsafeBytes { request(index, $0) }
            }
            let byteCount = zip(texts, kinds).reduce(32) { $0 + ($1.1 == 0 ? 2 : $1.1 == 3 ? 3 + $1.0.count : 10) }
            guard byteCount <= HandoverSlot.byteCount else {
                #expect(slot.state == .unknown, "seed \(seed): \(byteCount) bytes do not fit")
                continue
            }
            let second = try #require(try Self.reopened(table))
            let read = try #require(second.slot(slot.index), "seed \(seed)")
            #expect(read.state == .known && read.number == number && read.framing == framing, "seed \(seed)")
            #expect(
                read.int64Style == .string && read.noticeEncoding == WireEncoding.json.number
                    && read.sessionCount == 9, "seed \(seed)")
            let requests = try #require(read.unanswered, "seed \(seed)")
            #expect(requests.count == texts.count, "seed \(seed)")
            for (index, found) in requests.enumerated() {
                texts[index].withUnsafeBytes { bytes in
                    let wanted = request(index, bytes)
                    #expect(found.id == wanted.id && found.encoding == wanted.encoding, "seed \(seed)")
                }
            }
            withExtendedLifetime(second) {}
        }
    }

    @Test func slotsAreGivenOutOnce() throws {
        let table = try HandoverTable(slotCount: 3)
        let slots = try (1...3).map { try #require(table.take(number: $0)) }
        #expect(Set(slots.map(\.index)) == [0, 1, 2])
        #expect(table.take(number: 4) == nil)
        table.free(slots[1])
        #expect(slots[1].state == .free)
        #expect(table.take(number: 5)?.index == slots[1].index)
    }

    @Test func filesThatAreNoTableAreRefused() throws {
        let table = try HandoverTable(slotCount: 3)
        #expect(try Self.reopened(table)?.slotCount == 3)
        table.memory.bytes.storeBytes(of: 4, toByteOffset: 12, as: UInt32.self)
        #expect(try Self.reopened(table) == nil)
        // One that can shrink could kill us.
        var template = Array("/tmp/litebase-table-XXXXXX".utf8CString)
        let file = OwnedDescriptor(mkstemp(&template))
        unlink(template)
        ftruncate(file.number, 8_192)
        #expect(HandoverTable(formerProcess: file) == nil)
        #expect(HandoverTable(formerProcess: try Files.open("/dev/null", flags: O_RDONLY)) == nil)
    }

    @Test func leftoversReadBack() throws {
        let leftover = try [1, 2, 3].withUnsafeBytes { input in try Leftover(input: input, output: Output()) }
        let read = Leftover(formerProcess: OwnedDescriptor(dup(leftover.descriptorNumber)))
        #expect(read.map { Array($0.input) } == Array([1, 2, 3].withUnsafeBytes { Array($0) }))
        #expect(read?.output.isEmpty == true)
        let wrong = try SharedMemory(name: "wrong", byteCount: 20)
        wrong.bytes.storeBytes(of: 5, as: UInt64.self)
        #expect(Leftover(formerProcess: OwnedDescriptor(dup(wrong.descriptorNumber))) == nil)
    }

    @Test(arguments: ["clients", "client-0-1", "leftover-12-99"]) func namesReadBack(_ name: String) {
        #expect(KeptName(name)?.text == name)
        #expect(Server.isKept(name))
    }

    @Test(arguments: ["", "litebase", "client", "client-1", "client--1", "client-1-2-3", "client-x-1", "other-1-2"])
    func otherNamesAreNotOurs(_ name: String) {
        #expect(!Server.isKept(name))
    }

    /// What a process with an unreadable table numbers anew must not get the name of what it forgets.
    @Test func numbersContinueBehindEveryNameInTheStore() throws {
        func former(_ table: HandoverTable?, _ names: [String]) throws -> FormerProcess {
            let kept = try names.map { NamedDescriptor(try Files.open("/dev/null", flags: O_RDONLY), name: $0) }
            let memory = table.map {
                NamedDescriptor(OwnedDescriptor(dup($0.memory.descriptorNumber)), name: KeptName.table.text)
            }
            return FormerProcess([memory].compactMap(\.self) + kept, FormatList.standard.makeTable())
        }
        let table = try HandoverTable(slotCount: 3)
        table.lastConnectionNumber = 5
        #expect(try former(nil, []).lastConnectionNumber == 0)
        #expect(try former(table, ["client-0-3"]).lastConnectionNumber == 5)
        #expect(try former(table, ["client-0-3", "leftover-1-7"]).lastConnectionNumber == 7)
        #expect(try former(nil, ["client-2-9", "client-0-\(UInt64.max)", "requests"]).lastConnectionNumber == 9)
        table.lastConnectionNumber = .max
        #expect(try former(table, []).lastConnectionNumber == FormerProcess.numberMax)
    }

    @Test func theBudgetHoldsTheRate() {
        var budget = KeepBudget()
        var now = MonotonicInstant(nanoseconds: 5)
        var count = 0
        while budget.take(at: now, keptCount: 0) { count += 1 }
        #expect(count == 3_000)
        // A second of many small steps, with nobody and with many in the store.
        for (keptCount, wanted) in [(0, 300), (1_000, 14)] {
            var count = 0
            for _ in 0..<10_000 {
                now = now.advanced(byNanoseconds: 100_000)
                if budget.take(at: now, keptCount: keptCount) { count += 1 }
            }
            #expect(abs(count - wanted) <= 1)
        }
        now = now.advanced(byMilliseconds: 1_000_000)
        #expect(budget.available(at: now, keptCount: 1_000) == 142)
    }
}
