// What the connections of one loop share: buffers, links to databases, counters.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// Everything that belongs to one loop.
///
/// - Thread: its loop's.
final class LoopContext {
    let loop: EventLoop
    let drivers: DriverContext
    let observer: Observer
    let shared: SharedState
    @exclusivity(unchecked) var limits: Limits
    @exclusivity(unchecked) var databases: ConfiguredDatabases
    /// The request types that are served.
    let requests: RequestTable
    /// How clients may speak.
    let formats: WireFormats
    @exclusivity(unchecked) var statistics: LoopStatistics
    /// Connections by number.
    var connections: [UInt64: Connection] = [:]
    lazy var housekeeper = Housekeeper(self)
    /// Who listens on this loop, by what tells.
    var subscriptions: [ObjectIdentifier: LoopSubscriptions] = [:]
    /// The same for channels.
    var channels: [ObjectIdentifier: LoopChannels] = [:]
    private var shares: [UInt32: LoopShare] = [:]
    @exclusivity(unchecked) var isDraining = false
    /// The drain has run out of time: nothing is started any more.
    @exclusivity(unchecked) var isCancelling = false

    /// The daemon's own health; only its uptime changes. It is not copied, because its texts are reference-counted.
    @exclusivity(unchecked) var health: HealthReply
    /// What of its replies does not change; `nil` before the first one.
    @exclusivity(unchecked) var healthForms: ByFormat<ReplyForm?>
    /// The turn of the loop in which `healthReplies` were made.
    @exclusivity(unchecked) var lastHealthTurn = UInt64.max
    /// Health replies of that turn.
    @exclusivity(unchecked) var healthReplies: ByFormat<ReplyTemplate>

    /// Received bytes, until it is known that they are needed for longer.
    let receiveBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    /// The request that is being handled, as MessagePack.
    @exclusivity(unchecked) var body = ByteBuffer()
    /// Storage for the output of the connection that is being served.
    @exclusivity(unchecked) var spareOutput = ByteBuffer()
    /// The most of it that is kept: a row may have many megabytes.
    static let spareOutputByteCountMax = 1 << 20
    /// By the number of their encoding.
    @exclusivity(unchecked) private var freeOperations: [[Operation]]
    private var links: [ObjectIdentifier: any DatabaseLink] = [:]
    @exclusivity(unchecked) private var lastLink:
        (entry: ObjectIdentifier, access: DatabaseAccess, link: any DatabaseLink)?

    private static let freeOperationCountMax = 64

    init(loop: EventLoop, shared: SharedState, limits: Limits, databases: ConfiguredDatabases) {
        self.loop = loop
        self.shared = shared
        self.limits = limits
        self.databases = databases
        observer = shared.observer
        health = HealthReply(of: shared)
        requests = RequestTable(shared.requestRows)
        formats = shared.formats.makeTable()
        healthForms = ByFormat(formats, nil)
        healthReplies = ByFormat(formats, ReplyTemplate())
        freeOperations = [[Operation]](repeating: [], count: formats.encodingNumberEnd)
        statistics = LoopStatistics(typeCount: shared.requestRows.count)
        statistics.makeRoom(forDatabasesUpTo: databases.numbers.count)
        drivers = DriverContext(
            loop: loop, longReadWorkers: shared.longReadWorkers, promptWorkers: shared.promptWorkers)
        drivers.onContention = { [weak self] in self?.housekeeper.watchHolders() }
    }

    deinit {
        receiveBuffer.deallocate()
    }

    /// This loop's link to a configured database.
    func link(by grant: Grant) -> any DatabaseLink {
        let entry = ObjectIdentifier(grant.entry)
        // Without a reference to the database, whose count is on a cache line that all loops share. The configuration holds
        // the entry until `adopt`.
        if let lastLink, lastLink.entry == entry, lastLink.access == grant.access { return lastLink.link }
        let link = link(to: grant.database)
        lastLink = (entry, grant.access, link)
        return link
    }

    private func link(to database: any Database) -> any DatabaseLink {
        let key = ObjectIdentifier(database)
        if let known = links[key] { return known }
        let link = database.makeSharedLink(drivers)
        links[key] = link
        return link
    }

    /// Takes over a new configuration; links to databases that no longer exist close their connections.
    func adopt(_ databases: ConfiguredDatabases, _ limits: Limits) {
        self.databases = databases
        self.limits = limits
        statistics.makeRoom(forDatabasesUpTo: databases.numbers.count)
        lastLink = nil
        let kept = Set(databases.entries.flatMap(\.databases).map { ObjectIdentifier($0) })
        shared.catalogs.keep(databases: kept)
        for (key, link) in links where !kept.contains(key) {
            link.close()
            links[key] = nil
        }
        for connection in Array(connections.values) {
            connection.watch.catalogDidChange()
            connection.adoptRights()
        }
    }

    /// Returns all idle connections to databases.
    func closeLinks() {
        for link in links.values { link.close() }
        links.removeAll()
        lastLink = nil
    }

    // MARK: Users take turns

    /// A user's share of this loop, for one more connection.
    func takeShare(of uid: UInt32) -> LoopShare {
        let share = shares[uid] ?? LoopShare(uid: uid)
        shares[uid] = share
        share.connectionCount += 1
        return share
    }

    func releaseShare(_ share: LoopShare) {
        share.connectionCount -= 1
        if share.connectionCount == 0 { shares[share.uid] = nil }
    }

    /// Runs a connection's part of this turn, unless its user has used up its share and others are waiting.
    /// - Returns: false if it has to wait for the next turn.
    func takeTurn(_ part: LoopShare.Part, of connection: Connection, _ body: () -> Void) -> Bool {
        if shares.count < 2 {
            body()
            return true
        }
        if connection.share?.isUsedUp(part, in: loop.turnCount) == true { return false }
        charge(part, of: connection, body)
        return true
    }

    /// Runs what cannot wait for a turn, at the cost of its user's share.
    func charge(_ part: LoopShare.Part, of connection: Connection, _ body: () -> Void) {
        let (share, start) = (connection.share, MonotonicInstant.now)
        body()
        share?.use(MonotonicInstant.now.nanoseconds(since: start), of: part, in: loop.turnCount)
    }

    // MARK: Operations are used again, so that a request allocates none

    func takeOperation(_ encoding: WireEncoding, _ framing: Framing, _ row: RequestRow) -> Operation {
        let operation =
            freeOperations[Int(encoding.number.rawValue)].popLast()
            ?? Operation(shared.formats.makeRowSink(MessageWriter(encoding: encoding, framing: framing)), row)
        operation.row = row
        precondition(!operation.isTracked, "an operation is in flight and free at once")
        return operation
    }

    /// An operation for one request, whose data go into a file.
    func makeOperation(
        _ encoding: WireEncoding, _ framing: Framing, _ row: RequestRow, _ transfer: Transfer
    ) -> Operation {
        let rows = shared.formats.makeRowSink(MessageWriter(encoding: encoding, framing: framing))
        return Operation(rows, row, transfer)
    }

    func recycle(_ operation: Operation) {
        precondition(!operation.isTracked, "an operation was given back while it was in flight")
        // Its sink is of no use for another.
        guard operation.transfer == nil else { return operation.reset() }
        disposeOfLarge(&operation.rows.buffer)
        disposeOfLarge(&operation.storage)
        operation.reset()
        let index = Int(operation.encoding.number.rawValue)
        if freeOperations[index].count < Self.freeOperationCountMax { freeOperations[index].append(operation) }
    }
}
