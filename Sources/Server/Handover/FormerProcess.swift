// What a former process has left in the descriptor store: its table, its connections, their leftovers.

internal import LinuxSystem

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
            case nil: continue
            }
        }
        var connections: [KeptConnection] = []
        for client in clients {
            let name = KeptName.leftover(slot: client.slot, number: client.number).text
            let known = table?.slot(client.slot).flatMap { slot in
                Self.connection(client.number, slot, client.socket, leftovers[name])
            }
            if let known { connections.append(known) } else { Self.end(client.socket) }
        }
        self.table = table
        self.connections = connections
        closedCount = clients.count - connections.count
    }

    private static func connection(
        _ number: UInt64, _ slot: HandoverSlot, _ socket: NamedDescriptor, _ file: NamedDescriptor?
    ) -> KeptConnection? {
        // A slot that was given to a newer connection: the older one had ended.
        guard slot.number == number, slot.unanswered != nil else { return nil }
        switch slot.state {
        case .known: return KeptConnection(number: number, slot: slot, socket: socket, leftover: nil)
        case .knownBehindLeftover:
            guard let file = file?.take(), let leftover = Leftover(formerProcess: file) else { return nil }
            return KeptConnection(number: number, slot: slot, socket: socket, leftover: leftover)
        case .free, .unknown, nil: return nil
        }
    }

    // The store keeps a duplicate, so closing alone would leave the client waiting; the end of both directions makes the
    // store let go as well (sd_notify(3), FDPOLL=).
    private static func end(_ socket: NamedDescriptor) {
        if let socket = socket.take() { Sockets.shutdownBoth(socket) }
    }
}
