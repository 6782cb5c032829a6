// Which requests run, in memory that outlives the process: after a crash the next process reports whose were cut off,
// and users who had requests at each of several crashes wait longer.

public import LinuxSystem
internal import Synchronization
internal import WireProtocol

/// The running requests of one connection. Its loop writes with plain stores, and nobody reads before the process is
/// gone.
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
        // Clients over TCP have no uid; this number belongs to nobody (chown(2)).
        base.storeBytes(of: peer?.uid ?? .max, toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: peer?.pid ?? 0, toByteOffset: 12, as: Int32.self)
    }

    /// A request is being handled.
    /// - Parameter type: the number of its row.
    func begin(_ type: UInt8) {
        base.storeBytes(of: type, toByteOffset: 20, as: UInt8.self)
        base.storeBytes(of: 1, toByteOffset: 21, as: UInt8.self)
    }

    /// It has ended, or counts among those that outlive their turn.
    func end() { base.storeBytes(of: 0, toByteOffset: 21, as: UInt8.self) }

    func setCount(_ count: Int) {
        base.storeBytes(of: UInt32(truncatingIfNeeded: count), toByteOffset: 16, as: UInt32.self)
    }

    /// The database of the request that is being handled.
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
    func cutOff(types: [RequestRow]) -> CutOffRequest? {
        let count = Int(base.load(fromByteOffset: 16, as: UInt32.self))
        let isInTurn = base.load(fromByteOffset: 21, as: UInt8.self) != 0
        guard count > 0 || isInTurn else { return nil }
        let uid = base.load(fromByteOffset: 8, as: UInt32.self)
        let type = Int(base.load(fromByteOffset: 20, as: UInt8.self))
        let nameCount = min(Int(base.load(fromByteOffset: 22, as: UInt8.self)), Self.nameByteCountMax)
        let name = UnsafeRawBufferPointer(start: base + Self.nameOffset, count: nameCount)
        return CutOffRequest(
            connection: base.load(as: UInt64.self),
            peer: uid == .max
                ? nil : PeerCredentials(pid: base.load(fromByteOffset: 12, as: Int32.self), uid: uid, gid: .max),
            type: type < types.count ? "\(types[type].type.name)" : "request",
            database: nameCount > 0 ? LogText.escaped(String(decoding: name, as: UTF8.self), byteCountMax: 64) : nil,
            requestCount: max(1, count))
    }
}

/// A request of one connection that a crash has cut off.
public struct CutOffRequest: Sendable {
    /// Its number.
    public var connection: UInt64
    public var peer: PeerCredentials?
    /// Type of the latest request.
    public var type: String
    /// The last database that was named.
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

/// How a process has ended.
enum ProcessEnd: Equatable {
    /// As requested.
    case inOrder
    /// By a signal of its own, or because it gave no sign of life.
    case crash(signal: Int32)
    /// The kernel has killed a process of this service or of one beside it because memory was short, and this process
    /// has left no signal.
    case outOfMemory
    /// Somebody has killed it.
    case killed

    /// Whether its own work may be the reason.
    var isItsOwnDoing: Bool {
        switch self {
        case .inOrder, .killed: false
        case .crash, .outOfMemory: true
        }
    }
}

/// The slots of all connections, and the users who had requests at several crashes in a row.
///
/// The process itself records its end, if it can: the signal of a crash. SIGKILL leaves no record. It is the kernel's
/// if the kernel has counted a process that it killed; otherwise somebody (an administrator) sent it, and no request
/// can be the reason.
///
///
/// - Layout: a page with magic, whether a process is at work, count of users, of slots ever taken, the signal by which the process
///   has ended (4 bytes each but the first), processes that the kernel had killed when it began, and one (8), then users; then
///   the slots. A version that does not know the latter two leaves them 0.
/// - Thread: any; a slot belongs to its connection.
final class RequestWatch: @unchecked Sendable {
    let memory: SharedMemory
    private let freeSlots: Mutex<[Int]>

    // "LBWATCH1"; a process that does not know it starts with an empty one.
    private static let magic: UInt64 = 0x4c42_5741_5443_4831
    private static let headerByteCount = 4_096
    /// Further connections have no slot; so many rarely have requests.
    static let slotCount = 4_096
    private static let signalOffset = 20
    private static let killsOffset = 24
    private static let usersOffset = 64
    private static let userByteCount = 16
    private static let userCountMax = 200
    /// A user whose last crash was that long ago starts again at zero.
    private static let memorySeconds: Int64 = 900
    static let waitSecondsMax: Int64 = 300

    /// Makes an empty one.
    init() throws(Errno) {
        memory = try SharedMemory(
            name: "litebase-requests", byteCount: Self.headerByteCount + Self.slotCount * WatchSlot.byteCount)
        freeSlots = Mutex(Array((0..<Self.slotCount).reversed()))
        memory.bytes.storeBytes(of: Self.magic, as: UInt64.self)
    }

    /// Takes over the memory of a former process.
    /// - Returns: `nil` if this version cannot read it.
    init?(formerProcess file: consuming OwnedDescriptor) {
        guard let memory = try? SharedMemory(mapping: file),
            memory.bytes.count == Self.headerByteCount + Self.slotCount * WatchSlot.byteCount,
            memory.bytes.load(as: UInt64.self) == Self.magic
        else { return nil }
        self.memory = memory
        freeSlots = Mutex(Array((0..<Self.slotCount).reversed()))
    }

    /// Whether a process is running, or was running when it died.
    var isAtWork: Bool {
        get { memory.bytes.load(fromByteOffset: 8, as: UInt32.self) != 0 }
        set { memory.bytes.storeBytes(of: newValue ? 1 : 0, toByteOffset: 8, as: UInt32.self) }
    }

    /// From now on this process is running, and its end will be recorded.
    /// - Parameter killCount: processes that the kernel has killed because memory was short, if they are counted.
    func begin(killCount: Int?) {
        memory.bytes.storeBytes(of: 0, toByteOffset: Self.signalOffset, as: UInt32.self)
        memory.bytes.storeBytes(
            of: killCount.map { Int64($0) + 1 } ?? 0, toByteOffset: Self.killsOffset, as: Int64.self)
        if let base = memory.bytes.baseAddress { Process.noteDeadlySignal(at: base + Self.signalOffset) }
        isAtWork = true
    }

    /// How the former process has ended; to be called before `begin`.
    /// - Parameter killCount: as for `begin`.
    /// - Returns: what is known of its end.
    func end(killCount: Int?) -> ProcessEnd {
        guard isAtWork else { return .inOrder }
        let signal = memory.bytes.load(fromByteOffset: Self.signalOffset, as: UInt32.self)
        if signal != 0 { return .crash(signal: Int32(truncatingIfNeeded: signal)) }
        let former = memory.bytes.load(fromByteOffset: Self.killsOffset, as: Int64.self)
        return former > 0 && killCount.map { Int64($0) + 1 > former } == true ? .outOfMemory : .killed
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

    /// Number of slots ever taken: others are not read, so their memory stays untouched.
    private var usedCount: Int {
        get { min(Int(memory.bytes.load(fromByteOffset: 16, as: UInt32.self)), Self.slotCount) }
        set { memory.bytes.storeBytes(of: UInt32(newValue), toByteOffset: 16, as: UInt32.self) }
    }

    /// Returns what the former process was doing when it died, and clears it; nothing if it ended as requested.
    func takeCutOff(types: [RequestRow]) -> [CutOffRequest] {
        let used = (0..<usedCount).compactMap(slot)
        let requests = isAtWork ? used.compactMap { $0.cutOff(types: types) } : []
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

    /// Counts a crash for the users who had requests, and forgets the others: only a user who had requests each time
    /// may be the cause.
    ///
    /// - Parameters:
    ///   - uids: users who had requests.
    ///   - seconds: the time now.
    /// - Returns: how many crashes in a row each of them has seen.
    func count(_ uids: Set<UInt32>, at seconds: Int64) -> [UInt32: Int] {
        let former = users.filter { seconds - $0.seconds < Self.memorySeconds }
        users = uids.sorted().prefix(Self.userCountMax).map { uid in
            Entry(uid: uid, count: (former.first { $0.uid == uid }?.count ?? 0) &+ 1, seconds: seconds)
        }
        return Dictionary(uniqueKeysWithValues: users.map { ($0.uid, Int($0.count)) })
    }

    /// Seconds that a user waits: after the first crash nobody does, since it may be anybody's.
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
