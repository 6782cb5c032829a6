// Rows of a file into a table: the daemon reads from a descriptor that the client passes.

internal import Glibc
internal import LinuxSystem
internal import WireProtocol

/// How a file is imported; docs/protocol.md, Transfers, says it exactly.
public struct ImportOptions: Sendable {
    /// `nil`: the default database.
    public var database: String?
    public var namespace: String?
    /// Columns of the table for the fields of each line; empty: those that the first line names, or all.
    public var columns: [String] = []
    public var format = RowFileFormat.csv
    /// Whether the first line of CSV and TSV has the names of the columns.
    public var hasHeader = true
    /// Between two fields; `nil`: a comma, or a tab.
    public var delimiter: String?
    /// What stands for null; `nil`: an empty field in CSV, `\N` in TSV.
    public var null: String?
    /// "utf-8", "utf-16le", "utf-16be", "latin-1"; `nil`: what the file's first bytes say, or UTF-8.
    public var encoding: String?
    /// Makes the table, with types by the first rows.
    public var createsTable = false
    /// Only looks at the file, and says which types its columns have.
    public var isDryRun = false
    /// All rows or none, in one transaction, which on SQLite keeps other writers waiting.
    public var isAtomic = false
    /// Lines that may be refused before it ends.
    public var rejectedCountMax: Int64 = 0
    /// The daemon gives up after that time of work.
    public var timeout: Duration?

    public init() {}
}

/// How far an import or a restore is.
public struct TransferStatus: Sendable {
    public let byteCount: Int64
    /// `nil` if it is not known.
    public let totalByteCount: Int64?
    /// Of an import; else 0.
    public let rowCount: Int64
}

/// What an import has done.
public struct ImportResult: Sendable {
    /// A line that is no row of the table, and why.
    public struct RejectedLine: Sendable, Equatable {
        public let line: Int64
        public let reason: String
    }

    /// A column, and its type where that is known.
    public struct Column: Sendable, Equatable {
        public let name: String
        public let type: String?
    }

    public let byteCount: Int64
    public let rowCount: Int64
    public let rejectedCount: Int64
    /// The first of them.
    public let rejected: [RejectedLine]
    public let columns: [Column]
    /// The statement that makes the table, if it is to be made.
    public let sql: String?
}

extension BlockingClient {
    /// Writes the rows of an open file or pipe into a table.
    ///
    /// The daemon reads files and pipes itself; anything else (a terminal, a socket) this process reads.
    /// - Parameters:
    ///   - descriptor: open for reading; the caller owns it. It is read from where it stands.
    ///   - relation: the table.
    ///   - options: how the file is read, and what becomes of its rows.
    ///   - progress: called now and then.
    /// - Returns: what was done, and which lines were refused.
    /// - Throws: `ClientError.server`; it says which rows are in the table then. `ClientError.unreadableInput` where this process
    ///   cannot read the descriptor to its end.
    public func importRows(
        from descriptor: Int32, into relation: String, options: ImportOptions = ImportOptions(),
        progress: ((TransferStatus) -> Void)? = nil
    ) throws(ClientError) -> ImportResult {
        try importRows(from: descriptor, into: relation, .database(options.database), options, progress)
    }

    func importRows(
        from descriptor: Int32, into relation: String, _ target: Target, _ options: ImportOptions,
        _ progress: ((TransferStatus) -> Void)?
    ) throws(ClientError) -> ImportResult {
        let request = Request.importRows(
            relation: relation, target, options.wireOptions(tellsProgress: progress != nil))
        var reading = try startReading(request, from: descriptor)
        while true {
            if let result = try importResult(try next(&reading), progress) { return result }
        }
    }

    /// Starts a request for which the daemon reads a descriptor, or what this process copies from it.
    func startReading(_ request: Request, from descriptor: Int32) throws(ClientError) -> ReadingRequest {
        try offerDescriptors()
        if PipeCopy.isReadable(byOthers: descriptor) {
            return ReadingRequest(id: try start(request, passing: descriptor))
        }
        let made: (copy: PipeCopy, reader: Int32)
        do throws(Errno) {
            made = try PipeCopy.start(from: descriptor)
        } catch {
            throw .invalidRequest("no pipe can be made: \(error)")
        }
        return ReadingRequest(id: try started(request, OwnedDescriptor(made.reader)), copy: made.copy)
    }

    /// Waits for the next event of it.
    ///
    /// Where this process cannot read the input to its end, the request is cancelled before the pipe ends: its end would say that
    /// nothing is missing.
    func next(_ reading: inout ReadingRequest) throws(ClientError) -> ReplyEvent {
        guard let copy = reading.copy else { return try next(reading.id, until: nil) }
        while !hasEvent(reading.id, until: .now.advanced(byMilliseconds: ReadingRequest.lookMilliseconds)) {
            guard !reading.isCancelled, copy.readFailure != nil else { continue }
            requestCancel(reading.id)
            reading.isCancelled = true
        }
        let event = try next(reading.id, until: nil)
        switch event {
        case .rows, .resultEnd, .progress, .change: return event
        // All that it wanted had come.
        case .finished: break
        case .failed(let error):
            // The daemon may still read the pipe: it ends with this process.
            guard let ending = error.serverError else { return event }
            copy.release()
            guard reading.isCancelled, ending.code == .cancelled, let failure = copy.readFailure else { return event }
            return .failed(.unreadableInput(failure, detail: ending.detail))
        }
        copy.release()
        return event
    }

    /// Sends the reading end of a pipe, of which then only the daemon has one.
    func started(_ request: Request, _ reader: consuming OwnedDescriptor) throws(ClientError) -> Int64 {
        let id = try start(request, passing: reader.number)
        reader.close()
        return id
    }

    func waitForImport(_ id: Int64, _ progress: ((TransferStatus) -> Void)?) throws(ClientError) -> ImportResult {
        while true {
            if let result = try importResult(try next(id, until: nil), progress) { return result }
        }
    }

    /// - Returns: `nil` where more events follow.
    private func importResult(
        _ event: ReplyEvent, _ progress: ((TransferStatus) -> Void)?
    ) throws(ClientError) -> ImportResult? {
        switch event {
        case .rows, .resultEnd, .change: return nil
        case .progress(let data):
            progress?(TransferStatus(ImportProgress(data)))
            return nil
        case .finished(let reply): return ImportResult(ImportReply(reply.data), reply.columns)
        case .failed(let error): throw error
        }
    }
}

/// A request for which the daemon reads a file or a pipe.
struct ReadingRequest {
    /// How often it is looked whether its input can still be read.
    fileprivate static let lookMilliseconds: Int64 = 100

    let id: Int64
    /// What this process copies into the pipe; `nil` where the daemon was given the input itself.
    fileprivate let copy: PipeCopy?
    /// Since its input could not be read.
    fileprivate(set) var isCancelled = false

    fileprivate init(id: Int64, copy: PipeCopy? = nil) {
        self.id = id
        self.copy = copy
    }
}

extension BlockingClient {
    /// Passes on what an import has told of its progress, without waiting.
    /// - Returns: whether it has ended, so that `waitForImport` does not wait.
    func tellProgress(of id: Int64, _ progress: ((TransferStatus) -> Void)?) -> Bool {
        while hasEvent(id, until: .now, mayCancel: false) {
            guard case .progress(let data)? = router.peek(id) else { return true }
            _ = router.take(id)
            progress?(TransferStatus(ImportProgress(data)))
        }
        return false
    }
}

extension TransferStatus {
    fileprivate init(_ progress: ImportProgress) {
        self.init(
            byteCount: progress.byteCount, totalByteCount: progress.totalByteCount, rowCount: progress.rowCount)
    }
}

extension ImportResult {
    fileprivate init(_ reply: ImportReply, _ columns: Columns) {
        byteCount = reply.byteCount
        rowCount = reply.rowCount
        rejectedCount = reply.rejectedCount
        rejected = reply.rejected.map { RejectedLine(line: $0.line, reason: $0.reason) }
        self.columns = columns.all.map { Column(name: $0.name, type: $0.type) }
        sql = reply.sql
    }
}

extension ImportOptions {
    static let progressMilliseconds: Int64 = 100

    func wireOptions(tellsProgress: Bool) -> ImportRequest.Options {
        var wire = ImportRequest.Options()
        wire.namespace = namespace
        wire.columns = columns
        wire.format = ExportFormat(rawValue: format.rawValue) ?? .csv
        wire.hasHeader = hasHeader
        wire.delimiter = delimiter
        wire.null = null
        wire.encoding = encoding
        wire.create = createsTable
        wire.isDryRun = isDryRun
        wire.isAtomic = isAtomic
        wire.rejectedCountMax = rejectedCountMax
        wire.timeoutMilliseconds = timeout.map { max(1, $0.milliseconds) }
        wire.progressMilliseconds = tellsProgress ? Self.progressMilliseconds : nil
        return wire
    }
}
