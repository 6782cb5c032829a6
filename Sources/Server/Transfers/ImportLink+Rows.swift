// The rows of an import: read ahead by a worker, and written a run at a time.

internal import DatabaseContract
internal import LinuxSystem
internal import Tabular

extension ImportLink {
    /// A block that has grown beyond this is not read ahead of.
    private static let aheadByteCountMax = 4 << 20

    /// Does what can be done: reads ahead, and has rows written.
    func goOn() {
        stage = .rows
        readAhead()
        guard running == nil else { return }
        if writing != nil { return writeNext() }
        guard let part = ready else { return beginWaiting() }
        ready = nil
        endWaiting()
        begin(part)
    }

    private func readAhead() {
        if ready == nil, !isReading, writing?.isLast != true, mayReadAhead { read() }
    }

    private var mayReadAhead: Bool { (writing?.block.heldByteCount ?? 0) <= Self.aheadByteCountMax }

    private func read() {
        let (source, block, loading) = (source, used, place.loading)
        let target = wanted.isDryRun || !mayUseEncodedStatement ? nil : loadTarget
        used = nil
        onWorker {
            var part = source.readPart(reusing: block)
            if let target { part.encoded = loading.encoded(part.block, for: target).map { ($0, part.block.rowCount) } }
            return part
        } then: { part in
            self.ready = part
            self.byteCount = part.byteCount
            self.charge()
            // A statement around the rows goes on by itself.
            if case .rows = self.stage, self.running == nil { self.goOn() }
            self.tellProgress()
        }
    }

    func charge() {
        blockCharge.set((ready?.heldByteCount ?? 0) + (writing?.heldByteCount ?? 0) + (used?.heldByteCount ?? 0))
    }

    func begin(_ part: ImportPart) {
        writing = part
        // Now, and not when the engine has these rows: some engines take a whole block at once.
        readAhead()
        types = part.types ?? types
        guard part.types != nil, !wanted.isDryRun else { return writeNext() }
        makeTable()
        beginWriting()
    }

    private func writeNext() {
        guard let part = writing else { return goOn() }
        if !isTaken {
            isTaken = true
            if goesSingly == .refusal { goesSingly = nil }
            if keepsBlobsFromTexts { part.block.rejectBlobs(inColumns: textColumns) { names[$0] } }
            let tooMany = wanted.isDryRun ? queue.count(part.block) : queue.take(part.block)
            lineFailure = tooMany.map { rejection in
                DriverError(
                    .badRequest, "\(wanted.placeName) \(rejection.line) of the file: \(rejection.reason)",
                    hint: wanted.rejectedCountMax == 0
                        ? "\"max_rejected\" (litebase: --max-rejected) lets an import go on behind such "
                            + (wanted.isArrow ? "rows." : "lines.")
                        : nil, sqlState: "22P04")
            }
        }
        if let reason = operation?.stopReason { return fail(.stopped(reason)) }
        guard !wanted.isDryRun, let rows = queue.next() else { return endBlock(part) }
        guard needsSavepoint, !isInSavepoint else { return write(rows, part.block) }
        run("SAVEPOINT litebase_import") { inner in
            if let error = inner.error { return self.fail(error) }
            self.isInSavepoint = true
            self.write(rows, part.block)
        }
    }

    /// In CSV and TSV what begins with `\x` may be a text.
    private var keepsBlobsFromTexts: Bool {
        place.loading.keepsBlobsFromTexts && !wanted.options.format.isDelimited && !textColumns.isEmpty
    }

    /// What fails must not take the rest of the transaction with it.
    private var needsSavepoint: Bool {
        place.loading.needsSavepoint && (isInTransaction || (place.isSession && place.link.transaction == .active))
    }

    /// How many rows one execution of the statement takes, and those of a run that it can take so; others are put back.
    private func together(_ rows: Range<Int>) -> (rows: Range<Int>, perStatement: Int) {
        let most = place.loading.rowsPerStatement(columnCount: quotedNames.count)
        guard place.loading.statementValueCountMax == nil, goesSingly == nil, most > 1, rows.count >= most else {
            return (rows, 1)
        }
        let end = rows.upperBound - rows.count % most
        queue.putBack(end..<rows.upperBound)
        return (rows.lowerBound..<end, most)
    }

    private func write(_ all: Range<Int>, _ block: RowBlock) {
        stage = .rows
        let (rows, rowsPerStatement) = together(all)
        let load = RowLoad(
            block, rows, rejectedCountMax: queue.rejectableCount, rowsPerStatement: rowsPerStatement,
            encoded: encoded(rows, block))
        let text =
            load.encoded?.statement
            ?? statement(of: place.loading.statementValueCountMax == nil ? rowsPerStatement : rows.count)
        let inner = InnerRun(text, RowSink(), mayWrite: place.mayWrite, valueByteCount: block.count)
        inner.isStrict = true
        if place.loading.statementValueCountMax == nil {
            inner.kind = .load(load)
        } else {
            let view = block.view
            var parameters: [DriverParameter] = []
            parameters.reserveCapacity(rows.count * view.columnCount)
            for row in rows {
                for column in 0..<view.columnCount {
                    parameters.append(DriverParameter(name: nil, value: DriverValue(view.cell(row, column), in: view)))
                }
            }
            inner.parameters = parameters
        }
        running = (inner, load)
        start(inner) {
            guard self.running?.run === inner else { return }
            self.running = nil
            self.didWrite(inner, load)
        }
    }

    /// What was made of the rows ahead, if they are all rows of the block, of which none was rejected since.
    private func encoded(_ rows: Range<Int>, _ block: RowBlock) -> (any EncodedRows)? {
        guard let made = writing?.encoded, rows == 0..<block.rowCount, made.count == block.rowCount,
            mayUseEncodedStatement || made.rows.statement == nil
        else { return nil }
        return made.rows
    }

    /// Most pieces have the same number of rows.
    private func statement(of rowCount: Int) -> String {
        if let lastText, lastText.rowCount == rowCount { return lastText.text }
        let text = place.loading.text(table: table, columns: quotedNames, rowCount: rowCount)
        lastText = (rowCount, text)
        return text
    }

    private func didWrite(_ inner: InnerRun, _ load: RowLoad) {
        if inner.error == nil, place.loading.statementValueCountMax != nil { load.noteAll() }
        if let reason = load.mustGoSingly { goesSingly = reason }
        let goesAgain = inner.error.map { load.encoded?.statement != nil && $0.isOfStatement } ?? false
        if goesAgain { mayUseEncodedStatement = false }
        let error = queue.didRun(load, goesAgain ? nil : inner.error)
        operation?.summary.rowsAffected = queue.writtenCount
        operation?.rowCount = queue.writtenCount
        tellProgress()
        if inner.error != nil, isInSavepoint {
            // The transaction goes on, or is undone from here.
            return run("ROLLBACK TO SAVEPOINT litebase_import") { undone in
                if let error = error ?? undone.error { return self.fail(error) }
                self.goOn()
            }
        }
        if isInSavepoint {
            return run("RELEASE SAVEPOINT litebase_import") { released in
                self.isInSavepoint = false
                if let error = released.error { return self.fail(error) }
                self.goOn()
            }
        }
        if let error { return fail(error) }
        goOn()
    }

    private func endBlock(_ part: ImportPart) {
        isTaken = false
        writing = nil
        if let lineFailure { return fail(lineFailure) }
        if let failure = part.failure { return fail(DriverError(failure)) }
        if part.block.capacity <= Self.aheadByteCountMax { used = part.block }
        charge()
        if part.isLast { return commit() }
        goOn()
    }
}
