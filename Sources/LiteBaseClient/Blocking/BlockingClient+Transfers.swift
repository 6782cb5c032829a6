// Requests whose data go into a file, or come from one: the daemon writes to a descriptor that the client passes, or reads it.

internal import LinuxSystem
internal import WireProtocol

/// How rows stand in a file; docs/protocol.md, Transfers, says it exactly.
public enum RowFileFormat: String, CaseIterable, Sendable {
    case csv, tsv
    /// One array of objects.
    case json
    /// An object on each line.
    case jsonl
    /// The stream of Arrow's IPC format.
    case arrow
    /// An INSERT statement for each row, in the dialect of the engine. Only written.
    case sql
}

/// How an export is made.
public struct ExportOptions: Sendable {
    /// `nil`: the default database.
    public var database: String?
    public var format = RowFileFormat.csv
    /// Whether the first line of CSV and TSV, and each statement of SQL, has the names of the columns.
    public var hasHeader = true
    /// Of SQL: the table that is named in the statements.
    public var into: String?
    /// Of SQL: the namespace of that table.
    public var namespace: String?
    /// Between two fields of CSV and TSV; `nil`: a comma, or a tab.
    public var delimiter: String?
    /// What stands for null in them; `nil`: nothing, or `\N`.
    public var null: String?
    /// Of Arrow: columns that are to be text, whatever their values are.
    public var textColumns: [String] = []
    public var maxRows: Int64?
    /// The daemon gives up after that time of work.
    public var timeout: Duration?

    public init() {}
}

/// What a transfer has written or read.
public struct TransferResult: Sendable {
    public let byteCount: Int64
    /// Of an export.
    public let rowCount: Int64
    /// Whether `maxRows` has cut the rows.
    public let isTruncated: Bool
}

extension BlockingClient {
    /// Copies a SQLite database, as it is at one moment, into an open file or pipe.
    ///
    /// The daemon writes into files and pipes itself; into anything else (a terminal, a file in memory) this process does.
    /// - Parameters:
    ///   - database: its name; `nil` is the default one.
    ///   - descriptor: open for writing; the caller owns it.
    /// - Returns: what was written; a file is on the disk then.
    /// - Throws: `ClientError.server`; the file may have a part of the data then.
    public func backup(_ database: String? = nil, to descriptor: Int32) throws(ClientError) -> TransferResult {
        try transfer(.backup(database: database, progressMilliseconds: nil), to: descriptor)
    }

    /// Gives a SQLite database the content of an open file or pipe: a copy that `backup` has made, or any other database file that
    /// stands by itself.
    ///
    /// Programs that have the database open see the former content until this returns, and then the new one. The daemon reads files
    /// and pipes itself; anything else this process reads.
    /// - Parameters:
    ///   - database: its name; `nil` is the default one.
    ///   - descriptor: open for reading; the caller owns it. It is read from where it stands to its end.
    ///   - timeout: the daemon gives up after that time of work.
    ///   - progress: called now and then while the file is read; after that it is checked and written.
    /// - Returns: how much was read; the database is on the disk then.
    /// - Throws: `ClientError.server`; the database is as it was then, unless the code is `outcomeUnknown`. With
    ///   `ClientError.unreadableInput`, too, it is as it was.
    public func restore(
        _ database: String? = nil, from descriptor: Int32, timeout: Duration? = nil,
        progress: ((TransferStatus) -> Void)? = nil
    ) throws(ClientError) -> TransferResult {
        let milliseconds = progress == nil ? nil : ImportOptions.progressMilliseconds
        let request = Request.restore(database: database, timeout: timeout, progressMilliseconds: milliseconds)
        var reading = try startReading(request, from: descriptor)
        while true {
            if let result = try transferResult(try next(&reading), progress) { return result }
        }
    }

    /// Writes the rows of a statement into an open file or pipe; as `backup` does.
    public func export(
        _ sql: String, _ parameters: Parameters = .none, to descriptor: Int32, options: ExportOptions = ExportOptions()
    ) throws(ClientError) -> TransferResult {
        try export(sql, parameters, .database(options.database), to: descriptor, options)
    }

    func export(
        _ sql: String, _ parameters: Parameters, _ target: Target, to descriptor: Int32, _ options: ExportOptions
    ) throws(ClientError) -> TransferResult {
        var wanted = ExportRequest.Options()
        wanted.format = ExportFormat(rawValue: options.format.rawValue) ?? .csv
        wanted.hasHeader = options.hasHeader
        wanted.delimiter = options.delimiter
        wanted.null = options.null
        wanted.textColumns = options.textColumns
        wanted.into = options.into
        wanted.namespace = options.namespace
        wanted.maxRows = options.maxRows
        wanted.timeoutMilliseconds = options.timeout.map { max(1, $0.milliseconds) }
        return try transfer(.export(sql: sql, parameters, target, wanted), to: descriptor)
    }

    private func transfer(_ request: Request, to descriptor: Int32) throws(ClientError) -> TransferResult {
        try offerDescriptors()
        guard PipeCopy.isNeeded(for: descriptor) else {
            return try wait(for: try start(request, passing: descriptor))
        }
        let made: (copy: PipeCopy, writer: Int32)
        do throws(Errno) {
            made = try PipeCopy.start(to: descriptor)
        } catch {
            throw .invalidRequest("no pipe can be made: \(error)")
        }
        let outcome = copied(request, OwnedDescriptor(made.writer))
        // A daemon that does not answer has the pipe as well.
        if case .failure(.timedOut) = outcome { throw .timedOut }
        do throws(Errno) {
            try made.copy.finish()
        } catch {
            throw .cannotWrite(error)
        }
        return try outcome.get()
    }

    /// Sends the writing end of a pipe, of which then only the daemon has one.
    private func copied(
        _ request: Request, _ writer: consuming OwnedDescriptor
    ) -> Result<TransferResult, ClientError> {
        do throws(ClientError) {
            let id = try start(request, passing: writer.number)
            writer.close()
            return .success(try wait(for: id))
        } catch {
            return .failure(error)
        }
    }

    private func wait(for id: Int64) throws(ClientError) -> TransferResult {
        while true {
            if let result = try transferResult(try next(id, until: nil), nil) { return result }
        }
    }

    /// - Returns: `nil` where more events follow.
    private func transferResult(
        _ event: ReplyEvent, _ progress: ((TransferStatus) -> Void)?
    ) throws(ClientError) -> TransferResult? {
        switch event {
        case .rows, .resultEnd, .change: return nil
        case .progress(let data):
            let status = TransferProgress(data)
            progress?(
                TransferStatus(byteCount: status.byteCount, totalByteCount: status.totalByteCount, rowCount: 0))
            return nil
        case .finished(let reply):
            let answer = ExportReply(reply.data)
            return TransferResult(
                byteCount: answer.byteCount, rowCount: answer.rowCount, isTruncated: answer.isTruncated ?? false)
        case .failed(let error): throw error
        }
    }
}
