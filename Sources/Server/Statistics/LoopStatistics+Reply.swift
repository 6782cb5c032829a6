// The data of a `stats_response`.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

extension LoopStatistics {
    /// Writes the counters of all loops.
    func write(uptimeMilliseconds: Int64, _ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.key("uptime_ms", into: &output)
        writer.integer(uptimeMilliseconds, into: &output)
        write("connections", opened: connectionsOpened, open: connectionsOpen, &writer, &output)
        write("sessions", opened: sessionsOpened, open: sessionsOpen, &writer, &output)
        writer.key("requests_in_flight", into: &output)
        // The one that asks is not counted.
        writer.integer(Int64(max(0, requestsInFlight - 1)), into: &output)
        writer.key("requests", into: &output)
        writer.beginMap(into: &output)
        for type in RequestType.allCases where requests[Int(type.rawValue)] > 0 {
            writer.key(type.name, into: &output)
            writer.unsigned(requests[Int(type.rawValue)], into: &output)
        }
        writer.endMap(into: &output)
        writer.key("errors", into: &output)
        writer.beginMap(into: &output)
        for code in ErrorCode.allCases where errors[Int(code.rawValue)] > 0 {
            writer.key(code.name, into: &output)
            writer.unsigned(errors[Int(code.rawValue)], into: &output)
        }
        writer.endMap(into: &output)
        for (key, value) in [("bytes_received", bytesReceived), ("bytes_sent", bytesSent), ("rows_sent", rowsSent)] {
            writer.key(key, into: &output)
            writer.unsigned(value, into: &output)
        }
        writeLatencies(&writer, &output)
    }

    private func write(
        _ key: StaticString, opened: UInt64, open: Int, _ writer: inout MessageWriter, _ output: inout ByteBuffer
    ) {
        writer.key(key, into: &output)
        writer.beginMap(into: &output)
        writer.key("open", into: &output)
        writer.integer(Int64(open), into: &output)
        writer.key("opened", into: &output)
        writer.unsigned(opened, into: &output)
        writer.endMap(into: &output)
    }

    private func writeLatencies(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.key("latency_us", into: &output)
        writer.beginMap(into: &output)
        for type in RequestType.allCases where latency[Int(type.rawValue)].count > 0 {
            let histogram = latency[Int(type.rawValue)]
            writer.key(type.name, into: &output)
            writer.beginMap(into: &output)
            writer.key("count", into: &output)
            writer.unsigned(histogram.count, into: &output)
            for (key, fraction) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
                writer.key(key, into: &output)
                writer.integer(histogram.percentile(fraction), into: &output)
            }
            writer.endMap(into: &output)
        }
        writer.endMap(into: &output)
    }
}
