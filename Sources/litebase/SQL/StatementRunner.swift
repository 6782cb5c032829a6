// Runs statements and writes their results.

internal import ByteBuffers
import LiteBaseClient

/// Where statements go: each on its own, or all to one session.
enum StatementTarget {
    case client(BlockingClient)
    case session(BlockingSession)

    func stream(_ sql: String, _ parameters: Parameters, _ options: QueryOptions) throws(ClientError) -> BlockingRows {
        switch self {
        case .client(let client): try client.stream(sql, parameters, options: options)
        case .session(let session): try session.stream(sql, parameters, options: options)
        }
    }
}

/// Runs one statement after the other; memory is bounded by a frame and a formatter's sample.
struct StatementRunner {
    let target: StatementTarget
    let options: QueryOptions
    let output: StandardOutput

    /// Runs one statement and writes its result.
    /// - Returns: what it did; `nil` when Ctrl-C broke it off.
    /// - Throws: `ClientError`, `OutputError`; rows that came before are written.
    func run(
        _ sql: String, _ parameters: Parameters = .none, _ formatter: inout any ResultFormatter
    ) throws -> StatementSummary? {
        let rows = try target.stream(sql, parameters, options)
        formatter.begin(rows.columns, into: &output.buffer)
        var summary: StatementSummary?
        defer { try? output.flush() }
        do {
            while let batch = try rows.nextBatch() {
                // Dropping the rows cancels the statement.
                if Interrupts.isRaised { break }
                for row in batch {
                    formatter.row(row, into: &output.buffer)
                    try output.flushIfLarge()
                }
                formatter.flush(into: &output.buffer)
                try output.flush()
            }
            summary = rows.summary
        } catch {
            formatter.end(nil, into: &output.buffer)
            throw error
        }
        formatter.end(summary, into: &output.buffer)
        try output.flush()
        // A table says so itself; what a program reads has no place for it.
        if summary?.isTruncated == true, !(formatter is TableFormatter) {
            Terminal.complain("litebase: there are more rows than --max-rows lets through")
        }
        return summary
    }
}

extension StandardOutput {
    /// Writes a result that was made here.
    func write(_ names: [String], _ rows: [[Value]], _ options: OutputOptions) throws {
        let columns = Columns(names.map { Column(name: $0) })
        var formatter = options.makeFormatter()
        formatter.begin(columns, into: &buffer)
        let batch = RowBatch(columns: columns, rows: rows)
        for row in batch { formatter.row(row, into: &buffer) }
        formatter.end(StatementSummary(rowCount: rows.count), into: &buffer)
        try flush()
    }
}
