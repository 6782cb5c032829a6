// Which servers a Redis Cluster has, and which of them has which slots.
//
// Source: https://redis.io/docs/latest/commands/cluster-nodes/ (every version tells it, with primaries that have no slots)

internal import Glibc

/// A server of a cluster, as the others call it.
struct RedisClusterPlace: Hashable, Sendable {
    var host: String
    /// Its other name (`cluster-announce-hostname`), by which a redirection may call it.
    var hostName: String?
    var port: UInt16

    var server: RedisLocation.Server { .network(host: host, port: port) }

    func isSameAddress(as other: RedisClusterPlace) -> Bool { host == other.host && port == other.port }

}

/// The primaries of a cluster, and their slots.
///
/// What a server says is taken only if it is whole and of the known form: whatever it says, the map stays within its bounds.
struct RedisSlotMap: Sendable, Equatable {
    /// What is wrong with what a server has said.
    enum Problem: Error, Equatable {
        case tooLong, noLine, slotTwice, noSlot, noPrimary, tooManyPrimaries
        /// The server knows of nobody who has a slot: it is of no cluster, or of none any more.
        case nothingServed
        /// It is not an address in numbers, or one of this machine, where the URL names another.
        case address
    }

    private(set) var primaries: [RedisClusterPlace] = []
    /// Those that have slots: at least one.
    private(set) var serving: [Int] = []
    /// By slot, the index of its primary.
    private var owners = [UInt16](repeating: Self.nobody, count: RedisSlot.count)

    private static let nobody = UInt16.max
    static let byteCountMax = 1 << 20
    private static let lineCountMax = 4_096
    static let primaryCountMax = 128
    private static let hostByteCountMax = 255

    /// Reads the reply to CLUSTER NODES; `asked` has said it, and is where a server is reached that does not know its own address.
    init(_ text: String, from asked: RedisLocation.Server) throws(Problem) {
        guard text.utf8.count <= Self.byteCountMax else { throw .tooLong }
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), maxSplits: Self.lineCountMax)
        guard lines.count <= Self.lineCountMax else { throw .tooLong }
        for line in lines { try add(line, asked) }
        guard !primaries.isEmpty else { throw .noPrimary }
        guard owners.contains(where: { $0 != Self.nobody }) else { throw .nothingServed }
        sort()
        let used = Set(owners)
        serving = primaries.indices.filter { used.contains(UInt16($0)) }
    }

    /// Each server tells them in another order. Who goes through all of them, by one map and then by the next, finds each once.
    private mutating func sort() {
        let order = primaries.indices.sorted {
            (primaries[$0].host, primaries[$0].port) < (primaries[$1].host, primaries[$1].port)
        }
        var places = [UInt16](repeating: 0, count: order.count)
        for (place, former) in order.enumerated() { places[former] = UInt16(place) }
        primaries = order.map { primaries[$0] }
        for slot in owners.indices where owners[slot] != Self.nobody { owners[slot] = places[Int(owners[slot])] }
    }

    /// The primary that has a slot; `nil` if none has.
    func primary(of slot: UInt16) -> Int? {
        guard Int(slot) < owners.count, owners[Int(slot)] != Self.nobody else { return nil }
        return Int(owners[Int(slot)])
    }

    /// The primary at that address.
    func primary(at host: String, _ port: UInt16) -> Int? {
        primaries.firstIndex { $0.host == host && $0.port == port }
            ?? primaries.firstIndex { $0.hostName == host && $0.port == port }
    }

    // MARK: Lines

    /// `ID ADDRESS FLAGS PRIMARY PING PONG EPOCH STATE [SLOT …]`
    private mutating func add(_ line: Substring.UTF8View, _ asked: RedisLocation.Server) throws(Problem) {
        // What the server moves at the moment stands at the end, in brackets.
        let words = line.split(separator: UInt8(ascii: " "), maxSplits: RedisSlot.count + 8)
        guard words.count >= 8 else { throw .noLine }
        let flags = words[2].split(separator: UInt8(ascii: ",")).map { Substring($0) }
        let slots = words[8...].prefix { $0.first != UInt8(ascii: "[") }
        let isLost =
            flags.contains { ["noaddr", "handshake"].contains($0) } || (flags.contains("fail") && slots.isEmpty)
        guard flags.contains("master"), !isLost else { return }
        let place = try Self.place(Substring(words[1]), isOwn: flags.contains("myself"), asked)
        let owner = try index(of: place)
        for slot in slots { try give(slot, to: UInt16(owner)) }
    }

    /// One that has taken the address of another, which is lost, is reached there for the slots of both.
    private mutating func index(of place: RedisClusterPlace) throws(Problem) -> Int {
        if let known = primaries.firstIndex(where: place.isSameAddress) { return known }
        guard primaries.count < Self.primaryCountMax else { throw .tooManyPrimaries }
        primaries.append(place)
        return primaries.count - 1
    }

    /// `7`, or `0-5460`.
    private mutating func give(_ word: Substring.UTF8View, to owner: UInt16) throws(Problem) {
        let ends = word.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false).map { Self.number($0) }
        guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1], first <= last,
            last < RedisSlot.count
        else { throw .noSlot }
        for slot in first...last {
            // So that no reply makes more work than there are slots.
            guard owners[slot] == Self.nobody else { throw .slotTwice }
            owners[slot] = owner
        }
    }

    private static func number(_ digits: Substring.UTF8View) -> Int? {
        guard (1...5).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(Substring(digits))
    }

    // MARK: Addresses

    /// `10.0.0.1:6379@16379,name`
    private static func place(
        _ word: Substring, isOwn: Bool, _ asked: RedisLocation.Server
    ) throws(Problem) -> RedisClusterPlace {
        let parts = word.split(separator: ",", omittingEmptySubsequences: false)
        let address = parts[0].prefix { $0 != "@" }
        guard let colon = address.lastIndex(of: ":"), let number = number(address[address.index(after: colon)...].utf8),
            let port = UInt16(exactly: number), port > 0
        else { throw .address }
        var host = String(address[..<colon])
        // One of which nobody has told it its address.
        if host.isEmpty, isOwn, case .network(let known, _) = asked { host = known }
        // What a name leads to is known when it is asked for, and may be this machine by then. Servers tell their names behind the comma;
        // a name in this place is believed only if the URL has it, by which the server that has said it was found.
        guard isAddress(host) || asked.isAt(host) else { throw .address }
        if isOfThisMachine(host), !isOfThisMachine(asked) { throw .address }
        let name = parts.dropFirst().first.map(String.init)
        return RedisClusterPlace(host: host, hostName: name.flatMap { isHost($0) ? $0 : nil }, port: port)
    }

    /// A name, or an address in the usual form. Others (`127.1`, `0x7f000001`) are addresses for some and names for others.
    static func isHost(_ host: String) -> Bool {
        guard (1...hostByteCountMax).contains(host.utf8.count) else { return false }
        if host.utf8.contains(UInt8(ascii: ":")) { return address6(host) != nil }
        let isPlain = host.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || [UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_")].contains(byte)
        }
        guard isPlain, let last = host.split(separator: ".").last, let first = last.utf8.first else { return false }
        return (0x30...0x39).contains(first) ? address4(host) != nil : true
    }

    /// Whether it is an address in numbers.
    static func isAddress(_ host: String) -> Bool { address4(host) != nil || address6(host) != nil }

    private static func isOfThisMachine(_ server: RedisLocation.Server) -> Bool {
        switch server {
        case .socket: true
        case .network(let host, _): isOfThisMachine(host)
        }
    }

    /// Whether a host is this machine by its name or address alone, or nobody else's.
    static func isOfThisMachine(_ host: String) -> Bool {
        if let bytes = address4(host) { return bytes[0] == 127 || bytes[0] == 0 }
        if let bytes = address6(host) {
            // ::, ::1, and addresses of the other kind: ::ffff:127.0.0.1, ::127.0.0.1
            let isShort = bytes[..<10].allSatisfy { $0 == 0 }
            return isShort && (bytes[12] == 127 || bytes[12] == 0)
        }
        let name = host.lowercased().split(separator: ".")
        return name.last == "localhost" || name.last == "localdomain"
    }

    private static func address4(_ host: String) -> [UInt8]? { address(host, AF_INET, byteCount: 4) }
    private static func address6(_ host: String) -> [UInt8]? { address(host, AF_INET6, byteCount: 16) }

    private static func address(_ host: String, _ family: Int32, byteCount: Int) -> [UInt8]? {
        // The C library reads up to a NUL.
        guard !host.utf8.contains(0) else { return nil }
        var bytes = [UInt8](repeating: 0, count: byteCount)
        return inet_pton(family, host, &bytes) == 1 ? bytes : nil
    }
}

extension RedisLocation.Server {
    /// Whether it has that name, or that address.
    fileprivate func isAt(_ host: String) -> Bool {
        if case .network(let own, _) = self { own == host } else { false }
    }

    /// Whether it is reached without asking for what a name leads to.
    var isAddress: Bool {
        if case .network(let host, _) = self { RedisSlotMap.isAddress(host) } else { true }
    }
}
