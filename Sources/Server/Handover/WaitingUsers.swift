// Users who were there at several crashes in a row: their connections are taken up later, those of others at once.

internal import LinuxSystem

/// Connections that wait, with those who own them.
///
/// - Thread: the control loop's.
final class WaitingUsers: EventSource {
    private final class Held {
        let descriptor: OwnedDescriptor
        let client: Client
        let open: (Int32) -> Void

        init(_ descriptor: consuming OwnedDescriptor, _ client: Client, _ open: @escaping (Int32) -> Void) {
            self.descriptor = descriptor
            self.client = client
            self.open = open
        }
    }

    private let controlLoop: EventLoop
    private let shared: SharedState
    /// Until when each of them waits.
    private var ends: [UInt32: MonotonicInstant] = [:]
    private var held: [UInt32: [Held]] = [:]

    init(_ controlLoop: EventLoop, _ shared: SharedState) {
        self.controlLoop = controlLoop
        self.shared = shared
    }

    /// Makes a user wait from now on. Root and the daemon's own user never do: who mends it must get through.
    /// - Returns: whether the user waits.
    func hold(_ uid: UInt32, seconds: Int64) -> Bool {
        if uid == 0 || uid == Process.effectiveUID { return false }
        let end = MonotonicInstant.now.advanced(byMilliseconds: seconds * 1_000)
        ends[uid] = end
        controlLoop.schedule(self, token: UInt64(uid), at: end)
        return true
    }

    /// Whether a client has to wait.
    func mustWait(_ client: Client) -> Bool {
        if ends.isEmpty { return false }
        return client.peer.map { ends[$0.uid] != nil } ?? false
    }

    /// Keeps a connection until it is its turn; `open` gets the descriptor then.
    func add(_ descriptor: consuming OwnedDescriptor, _ client: Client, _ open: @escaping (Int32) -> Void) {
        held[client.peer?.uid ?? 0, default: []].append(Held(descriptor, client, open))
    }

    override func timerFired(_ token: UInt64) {
        let uid = UInt32(truncatingIfNeeded: token)
        ends[uid] = nil
        for connection in held.removeValue(forKey: uid) ?? [] {
            guard let copy = try? connection.descriptor.duplicate() else {
                discard(connection)
                continue
            }
            connection.open(copy.release())
        }
    }

    /// The process leaves: what the descriptor store keeps is for the next one, as the former has left it.
    func discardAll() {
        for connection in held.values.joined() { discard(connection) }
        held.removeAll()
        ends.removeAll()
    }

    private func discard(_ connection: Held) {
        shared.connections.add(-1)
        connection.client.account.connections.add(-1)
    }
}
