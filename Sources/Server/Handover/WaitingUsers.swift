// Users who had requests at several crashes in a row: their connections are accepted later, those of others at once.

internal import LinuxSystem

/// The waiting connections and their users.
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
    /// When each of them has waited long enough.
    private var ends: [UInt32: MonotonicInstant] = [:]
    private var held: [UInt32: [Held]] = [:]

    init(_ controlLoop: EventLoop, _ shared: SharedState) {
        self.controlLoop = controlLoop
        self.shared = shared
    }

    /// Makes a user wait from now on, except root and the daemon's own user, who may have to repair something.
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

    /// Keeps a connection until its user's wait is over; then `open` gets the descriptor.
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

    /// The process ends: the next one gets what the descriptor store keeps, unchanged.
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
