// What is told of a result at its end.

internal import ByteBuffers
internal import DatabaseDrivers
internal import WireProtocol

extension MessageWriter {
    /// Writes `result_end` into the open map.
    mutating func resultEnd(_ end: ResultEnd, into output: inout ByteBuffer) {
        key("result_end", into: &output)
        beginMap(into: &output)
        key("row_count", into: &output)
        integer(end.rowCount, into: &output)
        key("truncated", into: &output)
        bool(end.isTruncated, into: &output)
        endMap(into: &output)
    }
}
