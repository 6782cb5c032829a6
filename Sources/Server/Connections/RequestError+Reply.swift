// The data of an `error` reply.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

extension RequestError.Fields {
    /// Writes the fields that are known.
    func write(
        _ writer: inout MessageWriter, _ output: inout ByteBuffer, sql: UnsafeRawBufferPointer?,
        transaction: StaticString?
    ) {
        writer.key("code", into: &output)
        writer.text(code.name, into: &output)
        write("message", message, &writer, &output)
        write("detail", detail, &writer, &output)
        write("hint", hint, &writer, &output)
        write("sqlstate", sqlState, &writer, &output)
        write("vendor_code", details?.vendorCode.map(Int64.init), &writer, &output)
        if let offset = details?.offset, let sql { writePosition(offset, in: sql, &writer, &output) }
        write("statement_index", statementIndex.map(Int64.init), &writer, &output)
        write("row_index", details?.rowIndex.map(Int64.init), &writer, &output)
        if isRetryable ?? code.isRetryable {
            writer.key("retryable", into: &output)
            writer.bool(true, into: &output)
        }
        write("retry_after_ms", retryAfterMilliseconds, &writer, &output)
        if let transaction {
            writer.key("transaction", into: &output)
            writer.text(transaction, into: &output)
        }
        if let limit { writeLimit(limit, &writer, &output) }
        if let holder = details?.holder { writeHolder(holder, &writer, &output) }
    }

    private func write(
        _ key: StaticString, _ value: String?, _ writer: inout MessageWriter, _ output: inout ByteBuffer
    ) {
        guard var value else { return }
        writer.key(key, into: &output)
        if value.utf8.count > Self.textByteCountMax {
            value = value.withUTF8 {
                DriverError.cut(UnsafeRawBufferPointer($0), byteCountMax: Self.textByteCountMax)
            }
        }
        writer.text(value, into: &output)
    }

    /// Whoever makes many errors without reading them has them all written: what an engine says of one has its bound.
    private static let textByteCountMax = 16 << 10

    private func write(
        _ key: StaticString, _ value: Int64?, _ writer: inout MessageWriter, _ output: inout ByteBuffer
    ) {
        guard let value else { return }
        writer.key(key, into: &output)
        writer.integer(value, into: &output)
    }

    /// Offset in bytes from 0; line and column from 1, the column in characters (Unicode scalars).
    private func writePosition(
        _ offset: Int, in sql: UnsafeRawBufferPointer, _ writer: inout MessageWriter, _ output: inout ByteBuffer
    ) {
        let (line, column) = Self.place(of: offset, in: sql)
        writer.key("position", into: &output)
        writer.beginMap(into: &output)
        write("offset", Int64(offset), &writer, &output)
        write("line", line, &writer, &output)
        write("column", column, &writer, &output)
        writer.endMap(into: &output)
    }

    /// Texts may be long, and this is done on a loop.
    private static func place(of offset: Int, in sql: UnsafeRawBufferPointer) -> (line: Int64, column: Int64) {
        let before = UnsafeRawBufferPointer(rebasing: sql.prefix(max(0, offset)))
        let newline = UInt8(ascii: "\n")
        let newlineCount = before.count(of: newline)
        let start = newlineCount == 0 ? 0 : (before.offset(of: newline, number: newlineCount - 1) ?? -1) + 1
        let characterCount = UnsafeRawBufferPointer(rebasing: before[start...]).characterCount
        return (Int64(newlineCount + 1), Int64(characterCount + 1))
    }

    private func writeLimit(_ limit: LimitReport, _ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.key("limit", into: &output)
        writer.beginMap(into: &output)
        writer.key("name", into: &output)
        writer.text(limit.name, into: &output)
        write("value", limit.value, &writer, &output)
        write("used", limit.used, &writer, &output)
        write("uid", limit.account?.uid.map(Int64.init), &writer, &output)
        writer.endMap(into: &output)
    }

    private func writeHolder(_ holder: LockHolder, _ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        let since = MonotonicInstant.now.nanoseconds - holder.sinceNanoseconds
        writer.key("holder", into: &output)
        writer.beginMap(into: &output)
        write("uid", Int64(holder.uid), &writer, &output)
        write("pid", Int64(holder.pid), &writer, &output)
        write("since_ms", since / 1_000_000, &writer, &output)
        writer.endMap(into: &output)
    }
}
