// The report of a load run: for people, as JSON, and while it runs.

internal import ByteBuffers
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

/// The heading of a report, besides the counts.
struct BenchHeading {
    var workload: String
    var database: String?
    var plan: LoadPlan
    var wasInterrupted = false
}

/// The result of a run.
enum BenchReport {
    static let percentiles: [(name: String, fraction: Double)] = [
        ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999),
    ]

    // MARK: For people

    static func lines(_ heading: BenchHeading, _ counters: LoadCounters) -> [String] {
        let plan = heading.plan
        let place = heading.database.map { " in \($0)" } ?? ""
        var lines = [
            "\(heading.workload)\(place): \(counted(plan.connectionCount, "connection"))"
                + (plan.transport == .sharedMemory ? " through shared memory, " : ", ")
                + "\(plan.pipelineDepth) in flight each, \(counted(plan.threadCount, "thread")), "
                + "\(seconds(counters.nanoseconds)) after \(seconds(plan.warmUpNanoseconds)) of warm-up, "
                + "seed \(plan.seed)",
            "requests   \(counters.requestCount), \(rate(counters.rate(counters.requestCount)))",
            "latency    " + latencies(counters.latency),
        ]
        if counters.rowCount > 0 {
            lines.append("rows       \(counters.rowCount), \(rate(counters.rate(counters.rowCount)))")
        }
        lines.append(
            "received   \(bytes(counters.rate(counters.bytesReceived))); "
                + "sent \(bytes(counters.rate(counters.bytesSent)))")
        lines += failures(counters)
        if counters.generatorShare > 0.95 {
            lines.append("note       the load itself used all of a core; with more --threads it may be higher")
        }
        return lines
    }

    private static func failures(_ counters: LoadCounters) -> [String] {
        if counters.failures.isEmpty { return ["errors     none"] }
        return counters.failures.sorted { $0.value.count > $1.value.count }.map { code, failure in
            "errors     \(failure.count) × \(code): \(failure.message)"
        }
    }

    static func latencies(_ histogram: LatencyHistogram) -> String {
        if histogram.count == 0 { return "-" }
        var parts = percentiles.map { "\($0.name) \(duration(histogram.percentile($0.fraction)))" }
        parts.append("max \(duration(histogram.largest))")
        return parts.joined(separator: "  ")
    }

    /// The progress line during a run.
    static func progress(_ plan: LoadPlan, _ counters: LoadCounters, elapsed: Int64) -> String {
        if elapsed < plan.warmUpNanoseconds { return "warming up, \(seconds(elapsed))" }
        let extent: String =
            switch plan.extent {
            case .nanoseconds(let total): "\(seconds(counters.nanoseconds)) of \(seconds(total))"
            case .requests(let total): "\(counters.requestCount) of \(total)"
            }
        let histogram = counters.latency
        var text = "\(extent)  \(rate(counters.rate(counters.requestCount)))"
        if histogram.count > 0 {
            text += "  p50 \(duration(histogram.percentile(0.5)))  p99 \(duration(histogram.percentile(0.99)))"
        }
        return text + (counters.failures.isEmpty ? "" : "  \(counters.failureCount) errors")
    }

    // MARK: For programs

    static func appendJSON(_ heading: BenchHeading, _ counters: LoadCounters, into output: inout ByteBuffer) {
        let plan = heading.plan
        JSONText.append(
            .map([
                ("workload", .value(.text(heading.workload))),
                ("database", .value(heading.database.map(Value.text) ?? .null)),
                ("transport", .value(.text(plan.transport == .sharedMemory ? "shared_memory" : "socket"))),
                ("connections", .value(.integer(Int64(plan.connectionCount)))),
                ("pipeline", .value(.integer(Int64(plan.pipelineDepth)))),
                ("threads", .value(.integer(Int64(plan.threadCount)))),
                ("seed", .value(.unsigned(plan.seed))),
                ("warmup_seconds", real(Double(plan.warmUpNanoseconds) / 1e9, digits: 3)),
                ("seconds", real(Double(counters.nanoseconds) / 1e9, digits: 6)),
                ("interrupted", .value(.bool(heading.wasInterrupted))),
                ("requests", integer(counters.requestCount)),
                ("requests_per_second", real(counters.rate(counters.requestCount), digits: 1)),
                ("rows", integer(counters.rowCount)),
                ("rows_per_second", real(counters.rate(counters.rowCount), digits: 1)),
                ("bytes_received", integer(counters.bytesReceived)),
                ("bytes_sent", integer(counters.bytesSent)),
                ("latency_us", .map(latencyMembers(counters.latency))),
                ("errors", .map(errorMembers(counters))),
                ("generator_cpu_share", real(counters.generatorShare, digits: 3)),
            ]), into: &output)
    }

    private static func latencyMembers(_ histogram: LatencyHistogram) -> [(key: String, value: StructuredValue)] {
        func microseconds(_ nanoseconds: Int64) -> StructuredValue {
            histogram.count == 0 ? .value(.null) : real(Double(nanoseconds) / 1000, digits: 3)
        }
        let names = ["p50", "p90", "p99", "p999"]
        return zip(names, percentiles).map { ($0, microseconds(histogram.percentile($1.fraction))) }
            + [("max", microseconds(histogram.largest))]
    }

    private static func errorMembers(_ counters: LoadCounters) -> [(key: String, value: StructuredValue)] {
        counters.failures.sorted { $0.key < $1.key }.map { ($0.key, integer($0.value.count)) }
    }

    private static func integer(_ number: UInt64) -> StructuredValue { .value(.integer(Int64(clamping: number))) }

    private static func real(_ number: Double, digits: Int) -> StructuredValue {
        let scale = pow(10, Double(digits))
        return .value(.real((number * scale).rounded() / scale))
    }

    // MARK: Figures

    /// Per second: `812/s`, `120.9 k/s`, `2.50 M/s`.
    static func rate(_ perSecond: Double) -> String {
        if perSecond < 1000 { return "\(decimal(perSecond, perSecond < 100 ? 1 : 0))/s" }
        return perSecond < 1e6 ? "\(decimal(perSecond / 1e3, 1)) k/s" : "\(decimal(perSecond / 1e6, 2)) M/s"
    }

    /// `812 B/s`, `120.9 kB/s`, `2.5 MB/s`.
    static func bytes(_ perSecond: Double) -> String {
        if perSecond < 1000 { return "\(decimal(perSecond, 0)) B/s" }
        return perSecond < 1e6 ? "\(decimal(perSecond / 1e3, 1)) kB/s" : "\(decimal(perSecond / 1e6, 1)) MB/s"
    }

    /// Three digits or more: `95.1 µs`, `1.25 ms`, `2.50 s`.
    static func duration(_ nanoseconds: Int64) -> String {
        let unit = Terminal.hasUnicode ? "µs" : "us"
        let value = Double(nanoseconds)
        if value < 1e6 { return "\(decimal(value / 1e3, 1)) \(unit)" }
        return value < 1e9 ? "\(decimal(value / 1e6, 2)) ms" : "\(decimal(value / 1e9, 2)) s"
    }

    static func seconds(_ nanoseconds: Int64) -> String { "\(decimal(Double(nanoseconds) / 1e9, 1)) s" }

    static func decimal(_ number: Double, _ digits: Int) -> String {
        let scale = pow(10, Double(digits))
        // Numbers of the daemon may be anything.
        let scaled = Int64(exactly: (number * scale).rounded()) ?? (number < 0 ? -Int64.max : number > 0 ? .max : 0)
        guard digits > 0 else { return String(scaled) }
        let fraction = String(abs(scaled) % Int64(scale))
        let sign = scaled < 0 ? "-" : ""
        return "\(sign)\(abs(scaled) / Int64(scale))." + String(repeating: "0", count: digits - fraction.utf8.count)
            + fraction
    }
}
