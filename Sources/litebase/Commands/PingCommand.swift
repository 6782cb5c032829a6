// `litebase ping`: is the daemon well, and how fast does it answer.

import ArgumentParser
internal import LinuxSystem
import LiteBaseClient

struct PingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ping",
        abstract: "Ask the daemon whether it is well, and measure the round trip.",
        usage: "litebase ping [<options>]",
        discussion: """
            EXAMPLES:
              litebase ping
              litebase ping -c 10 -i 0.2
              litebase ping -d geo
            """)

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Ask this database, through the daemon, as a statement would.", valueName: "name"))
    var database: String?

    @Option(
        name: [.customShort("c", allowingJoined: true), .long],
        help: ArgumentHelp("How often; 0 until Ctrl-C.", valueName: "n"))
    var count = 1

    @Option(
        name: [.customShort("i", allowingJoined: true), .long],
        help: ArgumentHelp("Time between two.", valueName: "seconds"))
    var interval = 1.0

    @OptionGroup var patience: PatienceOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if count < 0 { throw ValidationError("The count must not be negative.") }
        if !(interval >= 0 && interval <= 86_400) { throw ValidationError("The interval must be 0 to 86400 seconds.") }
    }

    func run() throws {
        try patience.ask(connection) { client, endpoint in
            // A database's own time limit ends first, so that its error is shown.
            if database != nil { client.timeout = patience.duration + .seconds(5) }
            try ask(client, endpoint)
        }
    }

    private func ask(_ client: BlockingClient, _ endpoint: Endpoint) throws {
        let output = StandardOutput()
        if count != 1 { _ = Interrupts.install() }
        let isText = self.output.format == nil || self.output.format == .table
        var times: [Int64] = []
        var rows: [[Value]] = []
        var failure: ClientError?
        var sequence: Int64 = 0
        repeat {
            sequence += 1
            let answer = try roundTrip(client, endpoint)
            if let error = answer.error {
                failure = error
            } else if times.count < Self.sampleCountMax {
                times.append(answer.nanoseconds)
            }
            if isText {
                try output.print(answer.line(sequence: count == 1 ? nil : sequence))
                try output.flush()
            } else {
                rows.append(answer.row(sequence, hasError: database != nil))
            }
            if count != 0, sequence >= count { break }
            Interrupts.sleep(milliseconds: Int32(interval * 1000))
        } while !Interrupts.isRaised
        if !isText {
            let columns = ["seq", "status", "time_ms"] + (database == nil ? [] : ["error"])
            try output.write(columns, rows, self.output)
        } else if count != 1, let line = Self.statistics(times) {
            try output.print(line)
        }
        try output.flush()
        if let failure { throw failure }
    }

    /// One round trip, to the daemon or through it. An error of the database is an answer.
    private func roundTrip(_ client: BlockingClient, _ endpoint: Endpoint) throws(ClientError) -> PingAnswer {
        let start = MonotonicInstant.now
        func elapsed() -> Int64 { MonotonicInstant.now.nanoseconds(since: start) }
        guard let database else {
            let health = try client.ping()
            return PingAnswer(
                status: health.status, source: "\(endpoint)",
                facts: "litebased \(health.version), pid \(health.pid), up \(DurationText.human(health.uptime))",
                nanoseconds: elapsed())
        }
        do throws(ClientError) {
            let health = try client.ping(database: database, timeout: patience.duration)
            let version = health.serverVersion.isEmpty ? "" : " \(health.serverVersion)"
            return PingAnswer(
                status: "healthy", source: "database \(health.name)", facts: health.engine + version,
                nanoseconds: elapsed())
        } catch {
            guard let server = error.serverError else { throw error }
            return PingAnswer(
                status: server.code.rawValue, source: "database \(database)", nanoseconds: elapsed(), error: error)
        }
    }

    /// Round trips that are kept for the statistics.
    static let sampleCountMax = 1_000_000

    /// The last line: how long the round trips took.
    /// - Parameter times: nanoseconds of each.
    /// - Returns: `nil` when there were none.
    static func statistics(_ times: [Int64]) -> String? {
        guard !times.isEmpty else { return nil }
        let sorted = times.sorted()
        let average = times.reduce(0, +) / Int64(times.count)
        // Nearest rank: of 100 values the 99th.
        let p99 = sorted[(times.count * 99 + 99) / 100 - 1]
        let figures = [sorted[0], average, sorted[sorted.count - 1], p99].map(milliseconds).joined(separator: "/")
        return "\(times.count) answers, min/avg/max/p99 = \(figures) ms"
    }

    /// With three decimal places.
    static func milliseconds(_ nanoseconds: Int64) -> String {
        let microseconds = (nanoseconds + 500) / 1000
        let fraction = String(microseconds % 1000)
        return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - fraction.utf8.count) + fraction
    }
}

/// What one round trip has shown.
struct PingAnswer {
    /// "healthy", or the code of the error.
    var status: String
    /// Who was asked.
    var source: String
    /// Facts about the database, if it has answered.
    var facts: String?
    var nanoseconds: Int64
    var error: ClientError?

    /// For a person; of several, the facts are left out.
    func line(sequence: Int64?) -> String {
        let time = "time=\(PingCommand.milliseconds(nanoseconds)) ms"
        let place = TerminalEscaping.visible("\(status) from \(source)")
        if let sequence { return "\(place): seq=\(sequence) \(time)" }
        return "\(place): \(facts.map { TerminalEscaping.visible($0) + ", " } ?? "")\(time)"
    }

    /// For a program.
    func row(_ sequence: Int64, hasError: Bool) -> [Value] {
        [.integer(sequence), .text(status), .real(Double(nanoseconds) / 1e6)]
            + (hasError ? [error.map { .text($0.description) } ?? .null] : [])
    }
}

/// Durations for people.
enum DurationText {
    /// The two greatest units: `3 d 4 h`, `5 min 2 s`, `12 s`.
    static func human(_ duration: Duration) -> String {
        let seconds = duration.components.seconds
        let parts = [
            (seconds / 86400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s"),
        ]
        guard let first = parts.firstIndex(where: { $0.0 > 0 }) else { return "0 s" }
        return parts[first...].prefix(2).filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: " ")
    }
}
