// `list_databases`: the state of a database's server, for those who may use the database.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

extension ServerState {
    /// Writes `server`.
    func write(_ pool: PoolLoad?, _ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        let now = MonotonicInstant.now
        func age(_ key: StaticString, _ instant: MonotonicInstant) {
            writer.key(key, into: &output)
            writer.integer(max(0, now.nanoseconds(since: instant) / 1_000_000), into: &output)
        }
        writer.key("server", into: &output)
        writer.beginMap(into: &output)
        writer.key("reachable", into: &output)
        if let isReachable {
            writer.bool(isReachable, into: &output)
            age("since_ms", since)
            age("attempt_ms", lastAttempt)
        } else {
            writer.null(into: &output)
        }
        if let lastFailure {
            writer.key("last_error", into: &output)
            writer.text(lastFailure.error.details.reason, into: &output)
            age("last_error_ms", lastFailure.at)
        }
        if let pool {
            writer.key("pool", into: &output)
            writer.beginMap(into: &output)
            for (key, count) in [
                ("value", pool.connectionCountMax), ("open", pool.openCount), ("used", pool.inUseCount),
                ("waiting", pool.waitingCount),
            ] as [(StaticString, Int)] {
                writer.key(key, into: &output)
                writer.integer(Int64(count), into: &output)
            }
            writer.endMap(into: &output)
        }
        writer.endMap(into: &output)
    }
}
