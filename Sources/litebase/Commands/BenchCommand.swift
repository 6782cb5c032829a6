// `litebase bench`: how much the daemon bears on this machine, and how fast it answers under load.

import ArgumentParser
internal import ByteBuffers
internal import LinuxSystem
import LiteBaseClient

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Put the daemon under load and measure it.",
        usage: "litebase bench [<workload>] [<options>]",
        discussion: """
            Workloads: health (default), point-select, insert (durable single rows)
            and scan (a whole table). All but health use a table 'litebase_bench'
            that is made in the SQLite database you name, and removed at the end.
            --sql sends a statement of yours instead, as it is, to any engine.

            --param fills one placeholder, anew for each request: int:1..1000,
            real:0..1, text:16, blob:16 (that many bytes), serial:1 (counts up).

            EXAMPLES:
              litebase bench
              litebase bench point-select -d default -c 64 --rows 1000000
              litebase bench insert -d default -c 64 --duration 30 --json
              litebase bench --sql "SELECT * FROM city WHERE id = ?" \\
                --param int:1..5000
            """)

    @Argument(help: "health, point-select, insert or scan.")
    var workload: Workload?

    @Option(help: ArgumentHelp("Send this statement instead.", valueName: "text"))
    var sql: String?

    @Option(
        name: .customLong("param"), parsing: .singleValue,
        help: ArgumentHelp("Values for the next placeholder of --sql.", valueName: "kind"))
    var parameters: [String] = []

    @OptionGroup var load: LoadOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("The database, by name.", valueName: "name"))
    var database: String?

    @Option(help: ArgumentHelp("Rows of the table (default: 100000).", valueName: "n"))
    var rows: Int64?

    @Flag(name: .customLong("json"), help: "Print one JSON object.")
    var isJSON = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if sql != nil, workload != nil { throw ValidationError("Give either a workload or --sql, not both.") }
        if sql == nil, !parameters.isEmpty { throw ValidationError("--param needs --sql.") }
        if rows != nil, workload?.needsTable != true || workload == .insert {
            throw ValidationError("--rows is for point-select and scan.")
        }
        if let rows, !(1...1_000_000_000).contains(rows) {
            throw ValidationError("The number of rows must be 1 to 1000000000.")
        }
        if let workload, workload.needsTable, database == nil {
            throw ValidationError("\(workload.rawValue) makes a table: say where by --database.")
        }
    }

    /// Options that exclude each other in different groups.
    private func checkTransport(_ endpoint: Endpoint) throws {
        guard load.transport == .sharedMemory, case .loopback = endpoint else { return }
        throw UsageError("memory is shared over a Unix socket only: leave --port away")
    }

    func run() throws {
        let endpoint = try connection.endpoint()
        try checkTransport(endpoint)
        let client = try BlockingClient.connect(to: endpoint, trusting: connection.trusted)
        client.cancellationDescriptor = Interrupts.install()
        let rowCount = workload == .insert ? 0 : rows ?? 100_000
        var plan = try load.plan(try template(client, rowCount: rowCount))
        plan.trusted = connection.trusted
        var heading = BenchHeading(workload: sql ?? (workload ?? .health).rawValue, database: database, plan: plan)
        var table: BenchTable?
        if let workload, workload.needsTable, let database {
            table = BenchTable(client: client, database: database)
            LiveLine.show("making the table \(BenchTable.name)")
            try table?.create(rowCount: rowCount)
        }
        defer { if let table { Self.remove(table) } }
        let counters = try LoadRun.run(plan, endpoint) { counters, elapsed in
            LiveLine.show(BenchReport.progress(plan, counters, elapsed: elapsed))
        }
        LiveLine.clear()
        heading.wasInterrupted = Interrupts.isRaised
        try write(heading, counters)
        if counters.failureCount > 0 { throw ExitCode(Self.status(counters)) }
    }

    /// The request to send, checked by the daemon where it is the user's.
    private func template(_ client: BlockingClient, rowCount: Int64) throws -> RequestTemplate {
        guard let sql else {
            guard let statement = (workload ?? .health).statement(rowCount: rowCount) else { return .healthCheck }
            return .query(statement.sql, statement.parameters, database: database)
        }
        let parameters = try self.parameters.map { word throws(UsageError) in try RandomParameter(word) }
        let description: StatementDescription
        do throws(ClientError) {
            description = try client.describe(sql, database: database)
        } catch {
            throw StatementError(error: error, sql: sql)
        }
        let placeholderCount = description.parameters.count
        guard placeholderCount == parameters.count else {
            throw UsageError(
                "the statement wants \(placeholderCount) of --param, not \(parameters.count)")
        }
        return .query(sql, parameters, database: database)
    }

    /// A table that cannot be removed is worth a word, not the result.
    private static func remove(_ table: BenchTable) {
        LiveLine.clear()
        Interrupts.clear()
        do {
            try table.remove()
        } catch {
            Terminal.complain(
                "litebase: the table '\(BenchTable.name)' is left in '\(table.database)', drop it yourself: \(error)")
        }
    }

    private func write(_ heading: BenchHeading, _ counters: LoadCounters) throws {
        let output = StandardOutput()
        if isJSON {
            BenchReport.appendJSON(heading, counters, into: &output.buffer)
            output.buffer.append(UInt8(ascii: "\n"))
        } else {
            for line in BenchReport.lines(heading, counters) { try output.print(TerminalEscaping.visible(line)) }
        }
        try output.flush()
    }

    /// As one request that failed that way would have ended.
    private static func status(_ counters: LoadCounters) -> Int32 {
        let most = counters.failures.max { $0.value.count < $1.value.count }
        guard let (code, failure) = most, code != LoadCounters.disconnectedCode else { return ExitStatus.unavailable }
        return ExitStatus.of(ServerError(code: ServerError.Code(rawValue: code), message: failure.message))
    }
}

/// How much load, and for how long.
struct LoadOptions: ParsableArguments {
    @Option(name: [.customShort("c", allowingJoined: true), .long], help: ArgumentHelp("Connections.", valueName: "n"))
    var connections = 16

    @Option(
        name: [.customShort("p", allowingJoined: true), .long],
        help: ArgumentHelp("Requests in flight on each.", valueName: "n"))
    var pipeline = 1

    @Option(
        name: [.customShort("t", allowingJoined: true), .long],
        help: ArgumentHelp("How long (default: 10).", valueName: "seconds"))
    var duration: Double?

    @Option(
        name: [.customShort("n", allowingJoined: true), .long],
        help: ArgumentHelp("Stop after that many requests.", valueName: "n"))
    var count: UInt64?

    @Option(help: ArgumentHelp("Time before anything counts.", valueName: "seconds"))
    var warmup = 1.0

    @Option(
        name: [.customShort("j", allowingJoined: true), .long],
        help: ArgumentHelp("Threads that make the load (default: half the cores).", valueName: "n"))
    var threads: Int?

    @Option(help: ArgumentHelp("socket (default) or shared-memory.", valueName: "kind"))
    var transport: LoadTransport?

    @Option(help: ArgumentHelp("Of random values; printed with the result.", valueName: "n"))
    var seed: UInt64?

    static let connectionCountMax = 100_000
    /// The default number of requests that the daemon reads from one connection (`requests_in_flight_max`).
    static let pipelineDepthMax = 1024
    static let threadCountMax = 64

    func validate() throws {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
            if !range.contains(value) {
                throw ValidationError("\(name) must be \(range.lowerBound) to \(range.upperBound).")
            }
        }
        try check("--connections", connections, 1...Self.connectionCountMax)
        try check("--pipeline", pipeline, 1...Self.pipelineDepthMax)
        if let threads { try check("--threads", threads, 1...Self.threadCountMax) }
        if duration != nil, count != nil { throw ValidationError("Give either --duration or --count, not both.") }
        if let duration, !(duration >= 0.05 && duration <= 604_800) {
            throw ValidationError("--duration must be 0.05 to 604800 seconds.")
        }
        if !(warmup >= 0 && warmup <= 3600) { throw ValidationError("--warmup must be 0 to 3600 seconds.") }
        if let count, !(1...UInt64(Int64.max)).contains(count) { throw ValidationError("--count must be positive.") }
    }

    func plan(_ template: RequestTemplate) throws -> LoadPlan {
        let threadCount = threads ?? min(max(1, Process.coreCount / 2), 8)
        return LoadPlan(
            template: template, extent: count.map(LoadExtent.requests) ?? .nanoseconds(Int64((duration ?? 10) * 1e9)),
            warmUpNanoseconds: Int64(warmup * 1e9), connectionCount: connections, pipelineDepth: pipeline,
            threadCount: min(threadCount, connections), seed: seed ?? UInt64.random(in: 0...UInt64(UInt32.max)),
            transport: transport ?? .socket)
    }
}

extension LoadTransport: ExpressibleByArgument {}
