// Rows of one database into a table of another: the daemon writes them into a pipe, and reads them from it.

internal import LinuxSystem
internal import WireProtocol

extension BlockingClient {
    /// Writes the rows of a statement into a table of any database of another client, which may be of another engine.
    ///
    /// Both sides work at the same time, and no row comes through this process. If reading fails, the import is cancelled: what
    /// was read until then is never taken for the whole. The error's `detail` says how many rows are there all the same, and it
    /// is not retryable then.
    /// - Parameters:
    ///   - sql: the statement.
    ///   - source: the database that it reads; `nil` is the default one.
    ///   - target: a connection of its own, to the same daemon or another.
    ///   - relation: the table.
    ///   - options: what becomes of the rows; how they stand in a file has no meaning here.
    ///   - progress: called now and then, with the rows that were written.
    /// - Returns: what was done, and which rows were refused: lines are numbers of rows.
    /// - Throws: `ClientError` of the side that has failed.
    public func copyRows(
        _ sql: String, from source: String?, to target: BlockingClient, into relation: String, options: ImportOptions,
        progress: ((TransferStatus) -> Void)? = nil
    ) throws(ClientError) -> ImportResult {
        try copyRows(
            sql, from: .database(source), to: target, .database(options.database), into: relation, options, progress)
    }

    func copyRows(
        _ sql: String, from source: Target, to target: BlockingClient, _ place: Target, into relation: String,
        _ options: ImportOptions, _ progress: ((TransferStatus) -> Void)?
    ) throws(ClientError) -> ImportResult {
        precondition(target !== self, "each end of a copy needs a connection of its own")
        try offerDescriptors()
        try target.offerDescriptors()
        let ends: (reader: Int32, writer: Int32)
        do throws(Errno) {
            ends = try PipeCopy.makePipe()
        } catch {
            throw .invalidRequest("no pipe can be made: \(error)")
        }
        let reader = OwnedDescriptor(ends.reader)
        let writer = OwnedDescriptor(ends.writer)
        var wanted = ExportRequest.Options()
        wanted.format = .jsonl
        let exporting = try start(.export(sql: sql, .none, source, wanted), passing: writer.number)
        var options = options
        options.format = .jsonl
        let importing: Int64
        do throws(ClientError) {
            importing = try target.start(
                .importRows(relation: relation, place, options.wireOptions(tellsProgress: progress != nil)),
                passing: reader.number)
        } catch {
            abandon(exporting)
            throw error
        }
        // Only the daemon has the reading end from now on. The writing end is kept until all rows are known to be in the pipe:
        // its end says that nothing is missing.
        reader.close()
        let failure = failure(of: exporting) {
            // Through shared memory, a copy of the reading end stays here until then, and the export would wait for a reader.
            if target.tellProgress(of: importing, progress) { target.forgetPassed(with: importing) }
        }
        if let failure { throw target.failure(of: importing, behind: failure) }
        writer.close()
        return try target.waitForImport(importing, progress)
    }

    /// Ends an import whose rows come no more, before the pipe ends: what was read is never taken for the whole.
    /// - Returns: why the copy has failed, and what of it is in the table.
    private func failure(of id: Int64, behind failure: ClientError) -> ClientError {
        requestCancel(id)
        // Nobody wants to wait for the other daemon any more, which may be this one.
        if case .timedOut = failure { waitBriefly(for: id) }
        do throws(ClientError) {
            return failure.told(of: try waitForImport(id, nil).rowCount)
        } catch {
            // Where the import has ended before, the export has only lost its reader.
            return failure.isLostReader ? error : failure.told(of: error)
        }
    }

    /// Waits for the end of a request, or gives up the connection after a second.
    private func waitBriefly(for id: Int64) {
        let end = MonotonicInstant.now.advanced(byMilliseconds: 1_000)
        while hasEvent(id, until: end, mayCancel: false) {
            guard case .progress? = router.peek(id) else { return }
            _ = router.take(id)
        }
        fail(.timedOut)
    }

    /// Waits for the end of an export, and calls `body` now and then.
    private func failure(of id: Int64, _ body: () -> Void) -> ClientError? {
        do throws(ClientError) {
            while true {
                while !hasEvent(id, until: .now.advanced(byMilliseconds: 100)) { body() }
                switch try next(id, until: nil) {
                case .rows, .resultEnd, .progress, .change: break
                case .finished: return nil
                case .failed(let error): return error
                }
            }
        } catch {
            return error
        }
    }
}

extension BlockingSession {
    /// See `BlockingClient.copyRows`: the rows are what this session sees, and part of the other one's transaction.
    /// - Parameters:
    ///   - sql: the statement.
    ///   - target: a session of another client.
    ///   - relation: the table.
    ///   - options: what becomes of the rows; `options.database` has no meaning here.
    ///   - progress: called now and then, with the rows that were written.
    /// - Returns: what was done.
    /// - Throws: `ClientError` of the side that has failed.
    public func copyRows(
        _ sql: String, to target: BlockingSession, into relation: String, options: ImportOptions,
        progress: ((TransferStatus) -> Void)? = nil
    ) throws(ClientError) -> ImportResult {
        try client.copyRows(
            sql, from: try self.target(), to: target.client, try target.target(), into: relation, options, progress)
    }
}

extension ClientError {
    /// The import has ended before: its own error says why.
    fileprivate var isLostReader: Bool {
        guard case .server(let error) = self else { return false }
        return error.code == .cancelled
    }

    /// The error of the reading side, with what the import has said of its rows.
    fileprivate func told(of imported: ClientError) -> ClientError {
        guard case .server(let error) = imported else { return self }
        return told(error.detail ?? (error.code == .outcomeUnknown ? error.message : nil))
    }

    /// The same, of an import that ended as if all were well.
    fileprivate func told(of rowCount: Int64) -> ClientError {
        switch rowCount {
        case ..<1: told(nil as String?)
        case 1: told("The row before it is in the table.")
        default: told("The \(rowCount) rows before it are in the table.")
        }
    }

    private func told(_ detail: String?) -> ClientError {
        guard let detail, case .server(var error) = self else { return self }
        error.detail = [error.detail, detail].compactMap(\.self).joined(separator: " ")
        // Whatever helps the reading, by itself it would have the rows twice.
        error.isRetryable = false
        error.retryAfter = nil
        error.hint = "Copy the rows that are left, or delete those that are there first."
        return .server(error)
    }
}
