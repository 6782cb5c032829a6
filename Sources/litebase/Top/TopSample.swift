// What `litebase top` knows of the daemon at one moment, and what happened between two of them.

internal import LinuxSystem
import LiteBaseClient

/// The daemon's counters and activity at one moment.
struct TopSample: Sendable {
    var health: Health
    var stats: StructuredValue
    /// `nil` if the daemon is too old to report it.
    var activity: Activity?
    var time = MonotonicInstant.now

    static func take(_ client: BlockingClient) throws(ClientError) -> TopSample {
        let health = try client.ping()
        let stats = try client.stats()
        do throws(ClientError) {
            return TopSample(health: health, stats: stats, activity: try client.activity())
        } catch {
            guard error.serverError?.code == .unknownType else { throw error }
            return TopSample(health: health, stats: stats, activity: nil)
        }
    }

    /// A counter, by its path in `stats`.
    func counter(_ path: String...) -> Int64 {
        path.reduce(Optional(stats)) { $0?[$1] }?.integer ?? 0
    }
}

/// How often things happened between two samples, for each second.
struct TopRates: Sendable {
    /// By type of request, the most frequent first.
    var requests: [(name: String, perSecond: Double)] = []
    /// By code.
    var errors: [(name: String, perSecond: Double)] = []
    /// Requests and their mean time in milliseconds, by database, the busiest first.
    var databases: [(name: String, perSecond: Double, milliseconds: Double)] = []
    var rows = 0.0
    var bytesReceived = 0.0
    var bytesSent = 0.0

    var requestTotal: Double { requests.reduce(0) { $0 + $1.perSecond } }
    var errorTotal: Double { errors.reduce(0) { $0 + $1.perSecond } }

    /// `nil` when the samples are of different processes: a daemon that was restarted counts from zero.
    init?(from earlier: TopSample, to later: TopSample) {
        let seconds = Double(later.time.nanoseconds(since: earlier.time)) / 1e9
        guard earlier.health.pid == later.health.pid, seconds > 0,
            later.counter("uptime_ms") >= earlier.counter("uptime_ms")
        else { return nil }
        func perSecond(_ key: String) -> Double {
            (Double(later.counter(key)) - Double(earlier.counter(key))) / seconds
        }
        requests = Self.differences("requests", earlier, later, seconds)
        errors = Self.differences("errors", earlier, later, seconds)
        databases = Self.databases(earlier, later, seconds)
        rows = perSecond("rows_sent")
        bytesReceived = perSecond("bytes_received")
        bytesSent = perSecond("bytes_sent")
    }

    private static func databases(
        _ earlier: TopSample, _ later: TopSample, _ seconds: Double
    ) -> [(name: String, perSecond: Double, milliseconds: Double)] {
        func figures(_ sample: TopSample) -> [(name: String, requests: Int64, microseconds: Int64)] {
            (sample.stats["databases"]?.elements ?? []).map { database in
                (
                    LimitsText.databaseName(database), database["requests"]?.integer ?? 0,
                    database["elapsed_us"]?.integer ?? 0
                )
            }
        }
        let former = figures(earlier)
        return figures(later).compactMap { name, requests, microseconds in
            let before = former.first { $0.name == name }
            let count = requests - (before?.requests ?? 0)
            guard count > 0 else { return nil }
            let time = Double(microseconds - (before?.microseconds ?? 0)) / Double(count) / 1000
            return (name, Double(count) / seconds, time)
        }.sorted { ($1.perSecond, $0.name) < ($0.perSecond, $1.name) }
    }

    private static func differences(
        _ key: String, _ earlier: TopSample, _ later: TopSample, _ seconds: Double
    ) -> [(name: String, perSecond: Double)] {
        let counters = later.stats[key]?.members ?? []
        return counters.map { name, value in
            (name, (Double(value.integer ?? 0) - Double(earlier.counter(key, name))) / seconds)
        }.filter { $0.1 > 0 }.sorted { ($1.perSecond, $0.name) < ($0.perSecond, $1.name) }
    }
}
