// The table of kept connections, in memory that outlives the process.

internal import LinuxSystem
internal import Synchronization

/// One slot for each connection that the descriptor store keeps.
///
/// - Layout: a page with magic, version, count of slots and the number of the latest connection; then the slots.
/// - Thread: taking and freeing slots from any; a slot belongs to its connection.
final class HandoverTable: @unchecked Sendable {
    let memory: SharedMemory
    let slotCount: Int
    private let freeSlots: Mutex<[Int]>

    // "LBCLIENT"; a change of any layout changes the version, and a process that does not know it starts with an empty
    // table.
    private static let magic: UInt64 = 0x4c42_434c_4945_4e54
    private static let version: UInt32 = 1
    private static let headerByteCount = 4_096
    static let slotCountMax = 65_536

    /// Makes an empty table.
    init(slotCount: Int) throws(Errno) {
        precondition(slotCount > 0 && slotCount <= Self.slotCountMax)
        memory = try SharedMemory(
            name: "litebase-clients", byteCount: Self.headerByteCount + slotCount * HandoverSlot.byteCount)
        self.slotCount = slotCount
        freeSlots = Mutex(Array((0..<slotCount).reversed()))
        guard let header = memory.bytes.baseAddress else { throw .invalidArgument }
        header.storeBytes(of: Self.magic, as: UInt64.self)
        header.storeBytes(of: Self.version, toByteOffset: 8, as: UInt32.self)
        header.storeBytes(of: UInt32(slotCount), toByteOffset: 12, as: UInt32.self)
    }

    /// Takes over the table of a former process; all slots count as taken until `free` is called for them.
    /// - Returns: `nil` for a table that this version cannot read.
    init?(formerProcess file: consuming OwnedDescriptor) {
        guard let memory = try? SharedMemory(mapping: file), let header = memory.bytes.baseAddress,
            memory.bytes.count >= Self.headerByteCount, header.load(as: UInt64.self) == Self.magic,
            header.load(fromByteOffset: 8, as: UInt32.self) == Self.version
        else { return nil }
        slotCount = Int(header.load(fromByteOffset: 12, as: UInt32.self))
        guard slotCount > 0, slotCount <= Self.slotCountMax,
            memory.bytes.count == Self.headerByteCount + slotCount * HandoverSlot.byteCount
        else { return nil }
        self.memory = memory
        freeSlots = Mutex([])
    }

    /// Connection numbers continue where the former process stopped, so no session name occurs twice.
    var lastConnectionNumber: UInt64 {
        get { memory.bytes.load(fromByteOffset: 16, as: UInt64.self) }
        set { memory.bytes.storeBytes(of: newValue, toByteOffset: 16, as: UInt64.self) }
    }

    /// The slot with this index; `nil` beyond the table.
    func slot(_ index: Int) -> HandoverSlot? {
        guard index >= 0, index < slotCount, let base = memory.bytes.baseAddress else { return nil }
        return HandoverSlot(index: index, base: base + Self.headerByteCount + index * HandoverSlot.byteCount)
    }

    /// Gives a slot to a connection; `nil` when all are taken.
    func take(number: UInt64) -> HandoverSlot? {
        guard let index = freeSlots.withLock({ $0.popLast() }), let slot = slot(index) else { return nil }
        slot.begin(number: number)
        return slot
    }

    /// Takes a slot back.
    func free(_ slot: HandoverSlot) {
        slot.free()
        freeSlots.withLock { $0.append(slot.index) }
    }

    var freeCount: Int { freeSlots.withLock { $0.count } }
    var takenCount: Int { slotCount - freeCount }
}
