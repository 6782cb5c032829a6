// Changes as a thread waits for them.

internal import LinuxSystem

/// What changes in a database, one commit after the other, until it is dropped or fails.
///
/// The connection is read only while the client waits for something: what happens meanwhile is told together.
/// - Thread: the client's.
public final class BlockingChanges {
    /// What is told: "all_writers", "daemon_writers" or "channels".
    public let coverage: String
    /// What was told so far, for another subscription that goes on here.
    public private(set) var position: String

    private let client: BlockingClient
    private let id: Int64
    private var first: Change?
    private var isOver = false

    init(_ client: BlockingClient, _ id: Int64, until deadline: MonotonicInstant?) throws(ClientError) {
        self.client = client
        self.id = id
        let start = SubscriptionStart(try Self.data(of: client.next(id, until: deadline)))
        coverage = start.coverage
        position = start.position
        first = start.change
    }

    deinit {
        if !isOver { client.abandon(id) }
    }

    /// Waits for the next change.
    /// - Throws: `ClientError.server` when the server ends it, `.disconnected`.
    public func next() throws(ClientError) -> Change {
        if let change = first.take() { return change }
        do throws(ClientError) {
            let change = Change(try Self.data(of: client.next(id, until: nil)))
            position = change.position
            return change
        } catch {
            isOver = true
            throw error
        }
    }

    /// Waits for the next change, and adds what has been told since by then. Messages come one by one.
    /// - Throws: as `next`.
    public func nextTogether() throws(ClientError) -> Change {
        var change = try next()
        client.takeNotices()
        // An end that is among it is left to the next call.
        while change.message == nil, case .change(let data) = client.router.peek(id) {
            let later = Change(data)
            guard later.message == nil, client.router.take(id) != nil else { break }
            change = change.followed(by: later)
            position = change.position
        }
        return change
    }

    private static func data(of event: ReplyEvent) throws(ClientError) -> StructuredValue {
        switch event {
        case .change(let data): return data
        case .failed(let error): throw error
        case .rows, .resultEnd, .progress, .finished:
            throw .protocolViolation("a subscription has ended without a reason")
        }
    }
}

extension BlockingClient {
    /// Listens to what changes in a database. Whoever reads it after this has returned is told of every later commit.
    /// - Parameter options: the database, and what of it.
    /// - Returns: the changes, to be waited for.
    /// - Throws: `ClientError.server`, of a database that does not tell, too; `.disconnected`, `.timedOut`.
    public func changes(_ options: SubscriptionOptions = SubscriptionOptions()) throws(ClientError) -> BlockingChanges {
        let deadline = MonotonicInstant.after(timeout)
        return try BlockingChanges(self, try start(.subscribe(options), until: deadline), until: deadline)
    }
}
