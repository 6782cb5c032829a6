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
            """)

    @Option(name: [.customShort("c"), .long], help: ArgumentHelp("How often; 0 until Ctrl-C.", valueName: "n"))
    var count = 1

    @Option(name: [.customShort("i"), .long], help: ArgumentHelp("Time between two.", valueName: "seconds"))
    var interval = 1.0

    @OptionGroup var patience: PatienceOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if count < 0 { throw ValidationError("The count must not be negative.") }
        if !(interval >= 0 && interval <= 86_400) { throw ValidationError("The interval must be 0 to 86400 seconds.") }
    }

    func run() throws {
        try patience.ask(connection) { client, endpoint in try ask(client, endpoint) }
    }

    private func ask(_ client: BlockingClient, _ endpoint: Endpoint) throws {
        let output = StandardOutput()
        if count != 1 { _ = Interrupts.install() }
        let isText = self.output.format == nil || self.output.format == .table
        var times: [Int64] = []
        var rows: [[Value]] = []
        repeat {
            let start = MonotonicInstant.now
            let health = try client.ping()
            let elapsed = MonotonicInstant.now.nanoseconds(since: start)
            if times.count < Self.sampleCountMax { times.append(elapsed) }
            if isText {
                try output.print(Self.line(health, endpoint, elapsed, sequence: count == 1 ? nil : times.count))
                try output.flush()
            } else {
                rows.append([.integer(Int64(rows.count + 1)), .text(health.status), .real(Double(elapsed) / 1e6)])
            }
            if count != 0, times.count >= count { break }
            Interrupts.sleep(milliseconds: Int32(interval * 1000))
        } while !Interrupts.isRaised
        if !isText { return try output.write(["seq", "status", "time_ms"], rows, self.output) }
        if count != 1, let line = Self.statistics(times) { try output.print(line) }
        try output.flush()
    }

    /// Round trips that are kept for the statistics.
    static let sampleCountMax = 1_000_000

    static func line(_ health: Health, _ endpoint: Endpoint, _ elapsed: Int64, sequence: Int?) -> String {
        let time = "time=\(milliseconds(elapsed)) ms"
        if let sequence { return "\(health.status) from \(endpoint): seq=\(sequence) \(time)" }
        return "\(health.status) from \(endpoint): litebased \(health.version), pid \(health.pid), "
            + "up \(DurationText.human(health.uptime)), \(time)"
    }

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

    /// With three digits behind the point.
    static func milliseconds(_ nanoseconds: Int64) -> String {
        let microseconds = (nanoseconds + 500) / 1000
        let fraction = String(microseconds % 1000)
        return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - fraction.utf8.count) + fraction
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
