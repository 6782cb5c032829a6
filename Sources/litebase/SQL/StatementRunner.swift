// Runs statements and writes their results.

internal import ByteBuffers
import LiteBaseClient

/// Where statements go: each on its own, or all to one session.
enum StatementTarget {
    case client(BlockingClient)
    case session(BlockingSession)

    func streamResults(
        _ sql: String, _ parameters: Parameters, _ options: QueryOptions
    ) throws(ClientError) -> BlockingResults {
        switch self {
        case .client(let client): try client.streamResults(sql, parameters, options: options)
        case .session(let session): try session.streamResults(sql, parameters, options: options)
        }
    }
}

/// Runs one statement after the other; memory is bounded by a frame and a formatter's sample.
struct StatementRunner {
    let target: StatementTarget
    let options: QueryOptions
    let output: StandardOutput

    /// Whether the statement runs in an open transaction, which PostgreSQL gives up when it is cancelled.
    var isInTransaction = false

    /// Runs one statement and writes its result, or its results, one after the other.
    ///
    /// Ctrl-C cancels it, and its end is waited for: only the database knows what became of it. If nobody reads the output any
    /// more, a statement that may change something is run to its end, without its rows.
    /// - Returns: its summary.
    /// - Throws: `ClientError`, with the code `cancelled` if Ctrl-C ended it; `OutputError`; rows that came before are written.
    func run(
        _ sql: String, _ parameters: Parameters = .none, _ formatter: inout any ResultFormatter
    ) throws -> StatementSummary {
        let results = try target.streamResults(sql, parameters, options)
        formatter.statementBegins(sql)
        var isBrokenOff = false
        do {
            while let rows = try results.next() { isBrokenOff = try !write(rows, &formatter) || isBrokenOff }
            if results.endsWithoutRows, let summary = results.summary {
                formatter.begin(Columns([]), into: &output.buffer)
                formatter.end(summary, into: &output.buffer)
            }
            try output.endResult()
        } catch let error as OutputError {
            // Dropping the results would cancel it.
            if isInTransaction || RowStatement.mayChange(sql) { while try results.next() != nil {} }
            throw OutputError(errno: error.errno, summary: results.summary)
        } catch {
            try? output.endResult()
            throw error
        }
        guard let summary = results.summary else { throw ClientError.disconnected(nil) }
        if Interrupts.isRaised, isBrokenOff || RowStatement.mayChange(sql) {
            let rest = isBrokenOff ? "; not all of its rows are shown" : ""
            Terminal.complain("litebase: the statement was done before it could be cancelled\(rest)")
        }
        // A table shows that itself; formats for programs have no place for it.
        if summary.isTruncated, !(formatter is TableFormatter) {
            Terminal.complain("litebase: there are more rows than --max-rows lets through")
        }
        if summary.warningCount > 0 { Terminal.complain("litebase: \(warnings(summary.warningCount))") }
        return summary
    }

    /// Writes the result of something that has no rows.
    func show(_ summary: StatementSummary, of sql: String, _ formatter: inout any ResultFormatter) throws {
        formatter.statementBegins(sql)
        formatter.begin(Columns([]), into: &output.buffer)
        formatter.end(summary, into: &output.buffer)
        try output.endResult()
    }

    /// The engine keeps their texts for the next statement of the session.
    private func warnings(_ count: Int64) -> String {
        let place = if case .session = target { "" } else { " behind it, in the same call" }
        return "\(counted(count, "warning")) (SHOW WARNINGS\(place))"
    }

    /// Writes one result.
    /// - Returns: false when Ctrl-C broke it off; what comes after that is not written.
    private func write(_ rows: BlockingRows, _ formatter: inout any ResultFormatter) throws -> Bool {
        formatter.begin(rows.columns, into: &output.buffer)
        var isBrokenOff = false
        do {
            while let batch = try rows.nextBatch() {
                isBrokenOff = isBrokenOff || Interrupts.isRaised
                if isBrokenOff { continue }
                for row in batch {
                    formatter.row(row, into: &output.buffer)
                    try output.flushIfLarge()
                }
                formatter.flush(into: &output.buffer)
                try output.flush()
            }
        } catch {
            if !(error is OutputError) { formatter.end(nil, into: &output.buffer) }
            throw error
        }
        formatter.end(isBrokenOff ? nil : rows.end.map(StatementSummary.init), into: &output.buffer)
        try output.flush()
        return !isBrokenOff
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
