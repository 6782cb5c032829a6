// What must hold for any memory that a former process left. ServerTests replays the corpus with this, too.

import LinuxSystem
import Synchronization
import WireProtocol

@testable import Server

/// Traps when something does not hold that must.
enum HandoverChecks {
    /// The first byte says as what the others are read: each makes sense within its memory, or is refused.
    static func check(_ input: UnsafeRawBufferPointer) {
        guard let kind = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        switch kind % 4 {
        case 0, 1: checkSlot(bytes)
        case 2: checkTable(bytes)
        default: checkLeftover(bytes)
        }
    }

    private static func checkSlot(_ bytes: UnsafeRawBufferPointer) {
        let base = UnsafeMutableRawPointer.allocate(byteCount: HandoverSlot.byteCount, alignment: 8)
        defer { base.deallocate() }
        base.initializeMemory(as: UInt8.self, repeating: 0, count: HandoverSlot.byteCount)
        let head = bytes.prefix(HandoverSlot.byteCount)
        UnsafeMutableRawBufferPointer(start: base, count: HandoverSlot.byteCount).copyBytes(from: head)
        let slot = HandoverSlot(index: 0, base: base)
        _ = (slot.state, slot.framing, slot.noticeEncoding, slot.int64Style, slot.number, slot.sessionCount)
        guard let requests = slot.unanswered, let lane = slot.lane else { return }
        let ids = requests.map { Identified($0) }
        // What was read may be written again, and is the same.
        let copy = UnsafeMutableRawPointer.allocate(byteCount: HandoverSlot.byteCount, alignment: 8)
        defer { copy.deallocate() }
        copy.initializeMemory(as: UInt8.self, repeating: 0, count: HandoverSlot.byteCount)
        let second = HandoverSlot(index: 0, base: copy)
        second.record(
            framing: slot.framing, int64Style: slot.int64Style, noticeEncoding: slot.noticeEncoding,
            sessionCount: slot.sessionCount, lane: lane, requestCount: requests.count
        ) { requests[$0] }
        let state: HandoverSlot.State = lane == .none ? .known : .knownWithLane
        precondition(second.state == state && second.lane == lane, "what came out of a slot fits into one")
        precondition(second.framing == slot.framing && second.int64Style == slot.int64Style, "framing is kept")
        guard let again = second.unanswered else { preconditionFailure("what was written can be read") }
        precondition(again.map { Identified($0) } == ids, "ids are kept exactly")
    }

    private struct Identified: Equatable {
        var encoding: UInt8
        var id: String

        init(_ request: UnansweredRequest) {
            encoding = request.encoding.rawValue
            id =
                switch request.id {
                case .none: "none"
                case .integer(let value): "integer \(value)"
                case .unsigned(let value): "unsigned \(value)"
                case .string(let text): "text \(Array(text))"
                }
        }
    }

    private static func memory(_ bytes: UnsafeRawBufferPointer, byteCount: Int) -> SharedMemory? {
        guard let memory = try? SharedMemory(name: "fuzz", byteCount: byteCount) else { return nil }
        memory.bytes.copyBytes(from: bytes.prefix(byteCount))
        return memory
    }

    private static func duplicate(_ memory: SharedMemory) -> OwnedDescriptor? {
        let number = memory.descriptorNumber
        let borrowed = OwnedDescriptor(number)
        let copy = try? borrowed.duplicate()
        _ = borrowed.release()
        return copy
    }

    // A table has a head of a page, and slots behind it.
    private static func checkTable(_ bytes: UnsafeRawBufferPointer) {
        guard let memory = memory(bytes, byteCount: 4_096 + 2 * HandoverSlot.byteCount), let file = duplicate(memory),
            let table = HandoverTable(formerProcess: file)
        else { return }
        precondition(table.slotCount == 2, "a table has the slots for which there is memory")
        for index in -1...2 { _ = table.slot(index)?.unanswered }
        precondition(table.slot(-1) == nil && table.slot(2) == nil, "no slot lies beyond")
        table.lastConnectionNumber = table.lastConnectionNumber &+ 1
    }

    private static func checkLeftover(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty, let memory = memory(bytes, byteCount: bytes.count), let file = duplicate(memory),
            let leftover = Leftover(formerProcess: file)
        else { return }
        precondition(leftover.input.count + leftover.output.count == bytes.count - 16, "a leftover is all of its bytes")
        precondition(leftover.input.elementsEqual(bytes[16..<16 + leftover.input.count]), "in their order")
    }
}
