// What a former process has left in the descriptor store: its table, its connections, their leftovers.

internal import LinuxSystem
internal import WireProtocol

/// A connection of a former process that can go on.
struct KeptConnection {
    let number: UInt64
    let slot: HandoverSlot
    let socket: NamedDescriptor
    let leftover: Leftover?
}

/// Sorts the kept descriptors.
struct FormerProcess {
    /// `nil` when there was none, or when this version cannot read it.
    let table: HandoverTable?
    let connections: [KeptConnection]
    /// Connections whose position in the stream nobody knows, or that make no sense: closed.
    let closedCount: Int
    /// What the store need not keep any longer.
    let obsolete: [KeptName]

    /// - Parameter descriptors: what the store has handed over; those that cannot be used are closed.
    init(_ descriptors: [NamedDescriptor]) {
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
                Self.connection(client.number, slot, client.socket, leftovers[name])
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
    }

    private static func connection(
        _ number: UInt64, _ slot: HandoverSlot, _ socket: NamedDescriptor, _ file: NamedDescriptor?
    ) -> KeptConnection? {
        // A slot that was given to a newer connection: the older one had ended.
        guard slot.number == number, number < Self.numberMax, slot.sessionCount < Self.numberMax,
            let requests = slot.unanswered, isConsistent(slot, requests)
        else { return nil }
        switch slot.state {
        case .known: return KeptConnection(number: number, slot: slot, socket: socket, leftover: nil)
        case .knownBehindLeftover:
            guard let file = file?.take(), let leftover = Leftover(formerProcess: file) else { return nil }
            return KeptConnection(number: number, slot: slot, socket: socket, leftover: leftover)
        case .free, .unknown, nil: return nil
        }
    }

    /// More than will ever be counted, and far from an overflow.
    static let numberMax: UInt64 = 1 << 48

    // Lines hold JSON only; and a client that has sent nothing has asked nothing.
    private static func isConsistent(_ slot: HandoverSlot, _ requests: [UnansweredRequest]) -> Bool {
        if slot.framing == .lengthPrefixed { return true }
        return slot.noticeEncoding != .messagePack && requests.allSatisfy { $0.encoding == .json }
    }

    // The store keeps a duplicate, so closing alone would leave the client waiting; the end of both directions makes the
    // store let go as well (sd_notify(3), FDPOLL=).
    private static func end(_ socket: NamedDescriptor) {
        guard let socket = socket.take() else { return }
        Sockets.shutdownBoth(socket)
        Sockets.endInput(socket)
    }
}
