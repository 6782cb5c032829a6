// What a former process has left in the descriptor store: its table, its connections, their leftovers.

internal import LinuxSystem
internal import WireProtocol

/// A connection of a former process that can continue.
struct KeptConnection {
    let number: UInt64
    let slot: HandoverSlot
    let socket: NamedDescriptor
    let leftover: Leftover?
}

/// Sorts the kept descriptors.
struct FormerProcess {
    /// `nil` if there is none, or if this version cannot read it.
    let table: HandoverTable?
    let connections: [KeptConnection]
    /// Connections that were closed: their position in the stream is unknown, or their record is invalid.
    let closedCount: Int
    /// Entries that the store need not keep any longer.
    let obsolete: [KeptName]
    /// The largest number of a connection that the table or a name in the store has; 0 if there is none.
    let lastConnectionNumber: UInt64

    /// - Parameters:
    ///   - descriptors: what the store has handed over; those that cannot be used are closed.
    ///   - formats: how clients may speak to this process.
    init(_ descriptors: [NamedDescriptor], _ formats: WireFormats) {
        var table: HandoverTable?
        var clients: [(slot: Int, number: UInt64, socket: NamedDescriptor)] = []
        var leftovers: [String: NamedDescriptor] = [:]
        for descriptor in descriptors {
            switch KeptName(descriptor.name) {
            case .table: if let file = descriptor.take() { table = HandoverTable(formerProcess: file) }
            case .client(let slot, let number): clients.append((slot, number, descriptor))
            case .leftover: leftovers[descriptor.name] = descriptor
            case .requests, nil: continue
            }
        }
        var connections: [KeptConnection] = []
        var obsolete: [KeptName] = []
        var (slots, numbers): (Set<Int>, Set<UInt64>) = ([], [])
        for client in clients {
            let name = KeptName.leftover(slot: client.slot, number: client.number).text
            let isSingle = slots.insert(client.slot).inserted && numbers.insert(client.number).inserted
            let known = table?.slot(client.slot).flatMap { slot in
                Self.connection(client.number, slot, client.socket, leftovers[name], formats)
            }
            if let known, isSingle {
                connections.append(known)
                if known.leftover != nil { leftovers[name] = nil }
            } else {
                Self.end(client.socket)
                obsolete.append(.client(slot: client.slot, number: client.number))
            }
        }
        self.table = table
        self.connections = connections
        closedCount = clients.count - connections.count
        self.obsolete = obsolete + leftovers.keys.compactMap { KeptName($0) }
        // Also if the table cannot be read: a new connection with the name of an obsolete one would be forgotten with it.
        let inNames = descriptors.compactMap { KeptName($0.name)?.connectionNumber }.filter { $0 < Self.numberMax }
        lastConnectionNumber = min(Self.numberMax, max(table?.lastConnectionNumber ?? 0, inNames.max() ?? 0))
    }

    private static func connection(
        _ number: UInt64, _ slot: HandoverSlot, _ socket: NamedDescriptor, _ file: NamedDescriptor?,
        _ formats: WireFormats
    ) -> KeptConnection? {
        // The slot belongs to a newer connection: the older one had ended.
        guard slot.number == number, number < Self.numberMax, slot.sessionCount < Self.numberMax,
            slot.lane != nil, let requests = slot.unanswered, isConsistent(slot, requests, formats)
        else { return nil }
        switch slot.state {
        case .known, .knownWithLane: return KeptConnection(number: number, slot: slot, socket: socket, leftover: nil)
        case .knownBehindLeftover, .knownWithLaneBehindLeftover:
            guard let file = file?.take(), let leftover = Leftover(formerProcess: file) else { return nil }
            return KeptConnection(number: number, slot: slot, socket: socket, leftover: leftover)
        case .free, .unknown, nil: return nil
        }
    }

    /// Larger than any real count, and far from an overflow.
    static let numberMax: UInt64 = 1 << 48

    // Whether this process speaks the encodings in which the client expects its replies, and each fits the framing.
    private static func isConsistent(
        _ slot: HandoverSlot, _ requests: [UnansweredRequest], _ formats: WireFormats
    ) -> Bool {
        guard let framing = slot.framing.map(formats.framing) ?? formats.firstFraming else { return false }
        let encodings = requests.map(\.encoding) + (slot.noticeEncoding.map { [$0] } ?? [])
        return encodings.allSatisfy { formats.encoding($0)?.isAllowed(in: framing) == true }
    }

    // The store keeps a duplicate, so closing alone would leave the client waiting; after the end of both directions
    // the store also closes (sd_notify(3), FDPOLL=).
    private static func end(_ socket: NamedDescriptor) {
        guard let socket = socket.take() else { return }
        Sockets.shutdownBoth(socket)
        Sockets.endInput(socket)
    }
}
