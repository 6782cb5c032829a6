// A run on its way through a cluster: it may be sent to one node after another until one executes it.

internal import DatabaseContract
internal import LinuxSystem

/// Stands for a client's run at the nodes. Nothing of it reaches the client before a node has executed it.
///
/// - Thread: as a run's.
final class RedisClusterRun: StatementRun, @unchecked Sendable {
    enum Phase {
        /// The link decides what to do with it, or has done with it.
        case deciding
        /// It waits for a map, or for the end of a pause: the number of that wait.
        case waiting(UInt64)
        /// A worker reads the client's texts.
        case judging
        /// A node has it.
        case sent(any DatabaseLink)
    }

    let outer: StatementRun
    let owner: LinkOwner
    private let link: RedisClusterLink
    var phase = Phase.deciding
    /// `nil` until its texts were looked through.
    var route: RedisRouting.Route?
    var trail = RedisTrail()
    /// The map by which it was sent.
    var viewNumber: UInt64 = 0
    var node: RedisClusterNode?
    /// The node that a redirection names.
    var target: RedisClusterNode?

    /// ASKING goes before it.
    var isAsking = false
    /// What a node has said instead of executing it; set by the connection. Nothing has happened then, unless its route says that the
    /// answer may be a client's own.
    var redirection: RedisRedirection?

    init(_ outer: StatementRun, _ link: RedisClusterLink, for owner: LinkOwner) {
        self.outer = outer
        self.link = link
        self.owner = owner
        super.init(sink: outer.sink)
        take()
    }

    private func take() {
        kind = outer.kind
        sql = outer.sql
        parameters = outer.parameters
        rowCountMax = outer.rowCountMax
        mayWrite = outer.mayWrite
        wantsNotices = outer.wantsNotices
        wantsResultSets = outer.wantsResultSets
    }

    override var requestByteCount: Int { outer.requestByteCount }
    override func runDidFill() { link.didFill(self).tell(outer) }
    override func runDidEnd() { link.didEnd(self).tell(outer) }
    override func rewindBatch() { outer.rewindBatch() }

    override func nextBatchStatement() throws(DriverError) -> BatchPosition? {
        guard let position = try outer.nextBatchStatement() else { return nil }
        sql = outer.sql
        parameters = outer.parameters
        return position
    }

    /// What goes before the command.
    var ownCommands: [RedisExchange.OwnCommand] { isAsking ? [.asking] : [] }

    /// It is sent again: a node has refused it.
    func beginAgain() {
        error = nil
        summary = StatementSummary()
        batchSummaries = []
        redirection = nil
        isAsking = false
        target = nil
        take()
    }

    /// Passes on the counts so far.
    func tellCounts() {
        outer.rowCount = rowCount
        outer.isTruncated = isTruncated
    }

    /// Passes on what has come of it, and keeps nothing of the client's, who is not charged for it any more.
    func tellOutcome() {
        tellCounts()
        outer.error = error
        outer.summary = summary
        outer.batchSummaries = batchSummaries
        outer.description = description
        outer.notices = notices
        parameters = []
        batchSummaries = []
        sql = UnsafeRawBufferPointer(start: nil, count: 0)
    }
}
