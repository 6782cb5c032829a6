// Which requests run, in memory that outlives the process: after a crash the next one says whose were cut off, and whoever was
// there each time waits longer.

public import LinuxSystem
internal import Synchronization
internal import WireProtocol

/// What one connection has running. Plain stores by the connection's loop, and nobody reads before the process is gone.
///
/// - Layout: connection (8 bytes), uid, pid, requests that outlive their turn (4 each), type of the latest one, whether it is in
///   its turn, length of the name (1 each), unused (1), name of the database (64).
struct WatchSlot {
    static let byteCount = 96
    static let nameOffset = 24
    static let nameByteCountMax = 64

    let index: Int
    let base: UnsafeMutableRawPointer

    func open(number: UInt64, peer: PeerCredentials?) {
        base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.byteCount)
        base.storeBytes(of: number, as: UInt64.self)
        // Clients over TCP have no uid, and this one is nobody's (chown(2)).
        base.storeBytes(of: peer?.uid ?? .max, toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: peer?.pid ?? 0, toByteOffset: 12, as: Int32.self)
    }

    /// A request is looked at.
    func begin(_ type: RequestType) {
        base.storeBytes(of: type.rawValue, toByteOffset: 20, as: UInt8.self)
        base.storeBytes(of: 1, toByteOffset: 21, as: UInt8.self)
    }

    /// It has ended, or counts among those that outlive their turn.
    func end() { base.storeBytes(of: 0, toByteOffset: 21, as: UInt8.self) }

    func setCount(_ count: Int) {
        base.storeBytes(of: UInt32(truncatingIfNeeded: count), toByteOffset: 16, as: UInt32.self)
    }

    /// The database of what is looked at.
    func name(_ database: String) {
        let bytes = UnsafeMutableRawBufferPointer(start: base + Self.nameOffset, count: Self.nameByteCountMax)
        var count = 0
        for byte in database.utf8.prefix(Self.nameByteCountMax) {
            bytes[count] = byte
            count += 1
        }
        base.storeBytes(of: UInt8(count), toByteOffset: 22, as: UInt8.self)
    }

    /// What a process that is gone was doing for the connection; `nil` for nothing.
    var cutOff: CutOffRequest? {
        let count = Int(base.load(fromByteOffset: 16, as: UInt32.self))
        let isInTurn = base.load(fromByteOffset: 21, as: UInt8.self) != 0
        guard count > 0 || isInTurn else { return nil }
        let uid = base.load(fromByteOffset: 8, as: UInt32.self)
        let nameCount = min(Int(base.load(fromByteOffset: 22, as: UInt8.self)), Self.nameByteCountMax)
        let name = UnsafeRawBufferPointer(start: base + Self.nameOffset, count: nameCount)
        return CutOffRequest(
            connection: base.load(as: UInt64.self),
            peer: uid == .max
                ? nil : PeerCredentials(pid: base.load(fromByteOffset: 12, as: Int32.self), uid: uid, gid: .max),
            type: RequestType(rawValue: base.load(fromByteOffset: 20, as: UInt8.self)).map { "\($0.name)" }
                ?? "request",
            database: nameCount > 0 ? LogText.escaped(String(decoding: name, as: UTF8.self), byteCountMax: 64) : nil,
            requestCount: max(1, count))
    }
}

/// What a crash has cut off, of one connection.
public struct CutOffRequest: Sendable {
    /// Its number.
    public var connection: UInt64
    public var peer: PeerCredentials?
    /// Type of the latest request.
    public var type: String
    /// The database that was named last.
    public var database: String?
    public var requestCount: Int
}

extension CutOffRequest {
    /// The line for the log, with its fields.
    var content: (message: String, fields: [(name: String, value: String)]) {
        let what = type + (database.map { " on \($0)" } ?? "")
        let others = requestCount > 1 ? ", one of \(requestCount)" : ""
        return (
            "\(RequestFacts.text(connection, peer)): \(what) was cut off by the end of the former process\(others)",
            [("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_REQUEST_TYPE", type)] + RequestFacts.fields(peer)
                + (database.map { [("LITEBASE_DATABASE", $0)] } ?? [])
        )
    }
}

/// The slots of all connections, and who was there at how many crashes in a row.
///
/// - Layout: a page with magic, whether a process is at work, count of users, of slots ever taken, then users; then the slots.
/// - Thread: any; a slot belongs to its connection.
final class RequestWatch: @unchecked Sendable {
    let memory: SharedMemory
    private let freeSlots: Mutex<[Int]>

    // "LBWATCH1"; a process that does not know it starts afresh.
    private static let magic: UInt64 = 0x4c42_5741_5443_4831
    private static let headerByteCount = 4_096
    /// Connections beyond have no slot; there are rarely so many with requests.
    static let slotCount = 4_096
    private static let usersOffset = 64
    private static let userByteCount = 16
    private static let userCountMax = 200
    /// A user whose last crash is so long ago begins anew.
    private static let memorySeconds: Int64 = 3_600
    static let waitSecondsMax: Int64 = 300

    /// Makes an empty one.
    init() throws(Errno) {
        memory = try SharedMemory(
            name: "litebase-requests", byteCount: Self.headerByteCount + Self.slotCount * WatchSlot.byteCount)
        freeSlots = Mutex(Array((0..<Self.slotCount).reversed()))
        memory.bytes.storeBytes(of: Self.magic, as: UInt64.self)
    }

    /// Takes over that of a former process.
    /// - Returns: `nil` for one that this version cannot read.
    init?(formerProcess file: consuming OwnedDescriptor) {
        guard let memory = try? SharedMemory(mapping: file),
            memory.bytes.count == Self.headerByteCount + Self.slotCount * WatchSlot.byteCount,
            memory.bytes.load(as: UInt64.self) == Self.magic
        else { return nil }
        self.memory = memory
        freeSlots = Mutex(Array((0..<Self.slotCount).reversed()))
    }

    /// Whether a process is at work, or was when it died.
    var isAtWork: Bool {
        get { memory.bytes.load(fromByteOffset: 8, as: UInt32.self) != 0 }
        set { memory.bytes.storeBytes(of: newValue ? 1 : 0, toByteOffset: 8, as: UInt32.self) }
    }

    func take(number: UInt64, peer: PeerCredentials?) -> WatchSlot? {
        let index = freeSlots.withLock { free -> Int? in
            guard let index = free.popLast() else { return nil }
            if index >= usedCount { usedCount = index + 1 }
            return index
        }
        guard let index, let slot = slot(index) else { return nil }
        slot.open(number: number, peer: peer)
        return slot
    }

    func free(_ slot: WatchSlot) {
        slot.open(number: 0, peer: nil)
        freeSlots.withLock { $0.append(slot.index) }
    }

    private func slot(_ index: Int) -> WatchSlot? {
        memory.bytes.baseAddress.map {
            WatchSlot(index: index, base: $0 + Self.headerByteCount + index * WatchSlot.byteCount)
        }
    }

    /// Slots that were ever taken: no others are looked at, so that their memory is never there.
    private var usedCount: Int {
        get { min(Int(memory.bytes.load(fromByteOffset: 16, as: UInt32.self)), Self.slotCount) }
        set { memory.bytes.storeBytes(of: UInt32(newValue), toByteOffset: 16, as: UInt32.self) }
    }

    /// What the former process was doing when it died, and forgets it; nothing if it has left in order.
    func takeCutOff() -> [CutOffRequest] {
        let used = (0..<usedCount).compactMap(slot)
        let requests = isAtWork ? used.compactMap(\.cutOff) : []
        for slot in used { slot.open(number: 0, peer: nil) }
        usedCount = 0
        return requests
    }

    // MARK: Users

    private struct Entry {
        var uid: UInt32
        var count: UInt32
        var seconds: Int64
    }

    /// Counts a crash for those who were there, and forgets the others: only who was there each time may be its cause.
    ///
    /// - Parameters:
    ///   - uids: who had requests.
    ///   - seconds: the time now.
    /// - Returns: how many crashes in a row each of them has seen.
    func count(_ uids: Set<UInt32>, at seconds: Int64) -> [UInt32: Int] {
        let former = users.filter { seconds - $0.seconds < Self.memorySeconds }
        users = uids.sorted().prefix(Self.userCountMax).map { uid in
            Entry(uid: uid, count: (former.first { $0.uid == uid }?.count ?? 0) &+ 1, seconds: seconds)
        }
        return Dictionary(uniqueKeysWithValues: users.map { ($0.uid, Int($0.count)) })
    }

    /// Seconds that a user waits: the first crash may be anybody's.
    static func waitSeconds(crashCount: Int) -> Int64 {
        crashCount < 2 ? 0 : min(waitSecondsMax, 1 << min(Int64(crashCount) - 1, 16))
    }

    private var users: [Entry] {
        get {
            let count = min(Int(memory.bytes.load(fromByteOffset: 12, as: UInt32.self)), Self.userCountMax)
            return (0..<count).map { index in
                let offset = Self.usersOffset + index * Self.userByteCount
                return Entry(
                    uid: memory.bytes.load(fromByteOffset: offset, as: UInt32.self),
                    count: memory.bytes.load(fromByteOffset: offset + 4, as: UInt32.self),
                    seconds: memory.bytes.load(fromByteOffset: offset + 8, as: Int64.self))
            }
        }
        set {
            memory.bytes.storeBytes(of: UInt32(newValue.count), toByteOffset: 12, as: UInt32.self)
            for (index, entry) in newValue.enumerated() {
                let offset = Self.usersOffset + index * Self.userByteCount
                memory.bytes.storeBytes(of: entry.uid, toByteOffset: offset, as: UInt32.self)
                memory.bytes.storeBytes(of: entry.count, toByteOffset: offset + 4, as: UInt32.self)
                memory.bytes.storeBytes(of: entry.seconds, toByteOffset: offset + 8, as: Int64.self)
            }
        }
    }
}
