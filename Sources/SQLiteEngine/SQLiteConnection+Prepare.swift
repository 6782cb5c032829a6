// Preparing statements and binding their parameters.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem
internal import SQLText

extension SQLiteConnection {
    /// A prepared statement for the text of `run`, from the cache if it has one; marked as in use.
    ///
    /// On a loop (`mayBlock` is false) it is prepared within a budget and without virtual tables: their modules run
    /// statements of their own, and cannot be interrupted within a step.
    /// - Parameters:
    ///   - run: has the text.
    ///   - isUnfitForLoop: whether a loop has tried and could not.
    /// - Returns: the statement, which `CachedStatement.release` gives back.
    /// - Throws: `DriverError` with the position of a syntax error, `needsSession` and the like. Where a worker may be able to
    ///   prepare it all the same, `mustPrepareOnWorker` is set.
    func statement(for run: StatementRun, isUnfitForLoop: Bool) throws(DriverError) -> CachedStatement {
        let sql = SQLiteText.withoutTail(run.sql)
        let hash = TextHash.hash(sql)
        if mayBlock { followSchema(for: run) }
        // A name that means a table of an attached file comes to mean one of the main file when somebody makes that; nobody tells.
        let mayBeCached = !hasAttachedFiles
        if mayBeCached, let cached = statements.find(sql, hash: hash) {
            if mayBlock || cached.origin != .worker {
                cached.isInUse = true
                return cached
            }
            // Nobody knows whether it fits a loop; it does if this loop can prepare it.
            cached.isOutdated = true
        }
        let origin: CachedStatement.Origin = mayBlock ? isUnfitForLoop ? .workerForLoop : .worker : .loop
        let prepared = try prepare(sql, for: run, origin)
        prepared.isInUse = true
        if authorization.changesSchema {
            // SQLite prepares other statements again with the schema that this connection makes now, without checking
            // the file, where somebody may have changed it since (sqlite3ExpirePreparedStatements in src/vdbeaux.c).
            if mayWrite { statements.outdateAll() }
            return prepared
        }
        // SQLite keeps the first statement only; with a comment after it the text would never be found again.
        if mayBeCached, prepared.sqlByteCount == sql.count, !authorization.runsOnce, !prepared.listsProgram {
            statements.insert(prepared, hash: hash)
        }
        return prepared
    }

    /// Readers prepare a statement that writes only to find out that it needs a writer.
    var mayWrite: Bool { if case .reader = role { false } else { true } }

    private func prepare(
        _ sql: UnsafeRawBufferPointer, for run: StatementRun, _ origin: CachedStatement.Origin
    ) throws(DriverError) -> CachedStatement {
        guard sql.count <= Int(options.valueByteCountMax) else {
            throw DriverError(.limitExceeded, "The SQL text is too long.", sqlState: "54000")
        }
        mustPrepareOnWorker = false
        // Prepared without virtual tables, DROP TABLE IF EXISTS of one does nothing, and is no error.
        if !mayBlock, SQLiteText.mayDrop(sql) {
            mustPrepareOnWorker = true
            throw SQLiteErrors.tooLongToPrepare
        }
        if sql.count > SQLiteBudget.schemaTextByteCountMax { try admitLongText(sql) }
        defer { limitTexts(SQLiteBudget.schemaTextByteCountMax) }
        var origin = origin
        var (made, mayUseVirtualTables) = compile(sql, for: run, &origin)
        if budget.isSpent, case .writer = role, run.stopReason == nil {
            // Loading the schema, which is the same for everybody, may take its time; preparing the statement may not.
            loadSchema()
            made = compile(sql, for: run, withVirtualTables: true)
            mayUseVirtualTables = true
        }
        if mayBeOutdated(made, run), comparesSchema(sql.count, for: run) {
            made = compile(sql, for: run, withVirtualTables: mayBlock)
            mayUseVirtualTables = mayBlock
        }
        if let setting = authorization.refusedSetting, made.result & 0xff == SQLITE_AUTH {
            made = try compileInForce(setting, for: run, consumed: made.consumed)
        } else if made.result == SQLITE_OK, !options.takesDoubleQuotedStrings, let strict = SQLiteQuotes.asNames(sql) {
            do throws(DriverError) {
                try refuseStrings(strict, sql.count, for: run)
            } catch {
                sqlite3_finalize(made.handle)
                throw error
            }
        }
        guard made.result == SQLITE_OK else {
            noteDamage(made.result)
            throw preparationError(sql, made.result, made.refusal, run)
        }
        guard let handle = made.handle else {
            throw DriverError(
                .badRequest, "The SQL text holds no statement.", remedy: .sendOneStatement, sqlState: "42601")
        }
        let statement = CachedStatement(
            handle, sqlByteCount: made.consumed, authorization, origin, mayUseVirtualTables: mayUseVirtualTables)
        guard statement.hasShortColumns else {
            throw DriverError(
                .limitExceeded,
                "The names and declared types of the result's columns have more than \(SQLiteBudget.columnByteCountMax) bytes.",
                hint: "Select fewer columns, or give them shorter names (AS); an expression has no declared type.",
                sqlState: "54000")
        }
        try refuseTail(of: sql, behind: min(made.consumed, sql.count))
        // All of a program is listed at once, however long it is.
        if statement.listsProgram, !mayBlock, !Thread.mayBlock {
            mustPrepareOnWorker = true
            throw SQLiteErrors.tooLongToPrepare
        }
        if case .loop = origin { statement.weighBlobs(on: self) }
        return statement
    }

    /// Has SQLite prepare the text as fits the thread.
    private func compile(
        _ sql: UnsafeRawBufferPointer, for run: StatementRun, _ origin: inout CachedStatement.Origin
    ) -> (made: Compilation, mayUseVirtualTables: Bool) {
        if case .workerForLoop = origin, !SQLiteText.mayDrop(sql) {
            let (made, fit) = compileForLoop(sql, for: run)
            origin = fit
            return (made, true)
        }
        // What writes into a virtual table has to be known (MoveMark.swift). Without them, SQLite takes no notice of some other
        // statements, such as DROP TABLE IF EXISTS.
        if mayBlock, mayWrite, SQLiteText.changesRows(sql) {
            let made = compile(sql, for: run, withVirtualTables: false)
            if !mayBeOutdated(made, run) { return (made, false) }
        }
        return (compile(sql, for: run, withVirtualTables: mayBlock), mayBlock)
    }

    /// SQLite recurses for some parts of a text without checking the depth, and so for the texts of a schema, which it
    /// parses with the same limit. Texts are so short that the stack suffices, except those that are long because of
    /// their literals.
    private func admitLongText(_ sql: UnsafeRawBufferPointer) throws(DriverError) {
        guard SQLiteText.wordCount(sql) <= SQLiteBudget.longTextWordCountMax else { throw SQLiteErrors.nestedTooDeeply }
        // With the schema in memory, nothing else is parsed with the higher limit.
        loadSchema()
        limitTexts(sql.count)
    }

    /// Calls `body` with each operation of a client's statement, as EXPLAIN lists them. Its text may be as long as it was when the
    /// statement was prepared, and no more time is taken than it had then.
    /// - Returns: whether all were listed; if not, there was no memory or no time, or the run was stopped.
    func listOperations(
        of text: UnsafePointer<CChar>, byteCount: Int, _ body: (OpaquePointer) -> Void
    ) -> Bool {
        if byteCount + Self.explanationByteCount > SQLiteBudget.schemaTextByteCountMax { loadSchema() }
        return prepareBeside(byteCount) {
            guard let listing = prepareExplanation(of: text, byteCount: byteCount) else { return false }
            defer { sqlite3_finalize(listing) }
            while true {
                let result = sqlite3_step(listing)
                if result == SQLITE_DONE { return true }
                guard result == SQLITE_ROW, !mustStop() else { return false }
                body(listing)
            }
        }
    }

    private static let explanation: StaticString = "EXPLAIN "
    private static var explanationByteCount: Int { explanation.utf8CodeUnitCount }

    /// - Returns: the listing, which the caller finalizes.
    private func prepareExplanation(of text: UnsafePointer<CChar>, byteCount: Int) -> OpaquePointer? {
        let count = Self.explanationByteCount + byteCount
        // In memory that is charged to who has sent the text.
        guard let size = Int32(exactly: count + 1), let copy = CountedMemory.allocate(size) else { return nil }
        defer { CountedMemory.free(copy) }
        copy.copyMemory(from: Self.explanation.utf8Start, byteCount: Self.explanationByteCount)
        (copy + Self.explanationByteCount).copyMemory(from: text, byteCount: byteCount)
        copy.storeBytes(of: 0, toByteOffset: count, as: UInt8.self)
        return prepareText(UnsafePointer(copy.assumingMemoryBound(to: CChar.self)), size)
    }

    /// Prepares a client's EXPLAIN once more, as the schema is now: what it lists holds until SQLite is asked for something else.
    /// - Returns: the listing, which the caller finalizes.
    func prepareListing(of statement: CachedStatement) -> OpaquePointer? {
        let byteCount = statement.sqlByteCount
        if byteCount > SQLiteBudget.schemaTextByteCountMax { loadSchema() }
        return prepareBeside(byteCount) { prepareText(sqlite3_sql(statement.handle), Int32(byteCount)) }
    }

    /// Prepares a text that may be longer than those of a schema, which SQLite has in memory then.
    private func prepareText(_ text: UnsafePointer<CChar>, _ byteCount: Int32) -> OpaquePointer? {
        limitTexts(max(Int(byteCount), SQLiteBudget.schemaTextByteCountMax))
        defer { limitTexts(SQLiteBudget.schemaTextByteCountMax) }
        return prepareOwn(text, byteCount)
    }

    typealias Compilation = (
        handle: OpaquePointer?, result: Int32, consumed: Int, refusal: AllocationGuard.Reason?
    )

    /// Has SQLite read the schema, if it has none. Nothing is stepped: that would start the snapshot of a transaction
    /// before the client's own first statement does.
    func loadSchema() { sqlite3_finalize(prepareOwn("SELECT 1 FROM sqlite_schema")) }

    /// Prepares on a worker what a loop could not, and finds out whether a loop can the next time: the schema may have
    /// had to be read, which is done now, or the loop had no processor.
    private func compileForLoop(
        _ sql: UnsafeRawBufferPointer, for run: StatementRun
    ) -> (Compilation, CachedStatement.Origin) {
        loadSchema()
        let start = ThreadClock.nanoseconds
        let made = compile(sql, for: run, withVirtualTables: false)
        let isQuick = ThreadClock.nanoseconds - start < SQLiteBudget.loopPreparationNanoseconds
        guard made.result != SQLITE_OK else { return (made, isQuick ? .loop : .workerForLoop) }
        return (compile(sql, for: run, withVirtualTables: true), .workerForLoop)
    }

    /// Has SQLite prepare the text. SQLite 3.40 calls no handler meanwhile, but it allocates: the allocation guard
    /// stops it.
    func compile(
        _ sql: UnsafeRawBufferPointer, for run: StatementRun, withVirtualTables: Bool
    ) -> Compilation {
        liftLimits()
        authorization = SQLiteAuthorization()
        isPreparing = true
        begin(run, nil, budgetDeadline: preparationDeadline(sql.count))
        beginGuard()
        var handle: OpaquePointer?
        var tail: UnsafePointer<CChar>?
        let text = sql.baseAddress?.assumingMemoryBound(to: CChar.self)
        let start = mayBlock ? 0 : ThreadClock.nanoseconds
        let flags = SQLITE_PREPARE_PERSISTENT | (withVirtualTables ? 0 : SQLITE_PREPARE_NO_VTAB)
        let result = CountedMemory.withRoomyTables {
            sqlite3_prepare_v3(self.handle, text, Int32(sql.count), UInt32(flags), &handle, &tail)
        }
        let refusal = AllocationGuard.end()
        end()
        isPreparing = false
        if !mayBlock { loopPreparationNanoseconds += ThreadClock.nanoseconds - start }
        return (handle, result, tail.flatMap { tail in text.map { tail - $0 } } ?? sql.count, refusal)
    }

    func preparationDeadline(_ sqlByteCount: Int) -> MonotonicInstant {
        if !mayBlock { return .now.advanced(byNanoseconds: SQLiteBudget.loopPreparationNanoseconds) }
        if case .writer = role {
            return .now.advanced(byNanoseconds: SQLiteBudget.writePreparationNanoseconds(sqlByteCount))
        }
        return Thread.mayBlock
            ? .distantFuture : .now.advanced(byMilliseconds: SQLiteExecution.withoutWorkerMillisecondsMax)
    }

    func preparationError(
        _ sql: UnsafeRawBufferPointer, _ result: Int32, _ refusal: AllocationGuard.Reason?, _ run: StatementRun
    ) -> DriverError {
        if let reason = run.stopReason { return .stopped(reason) }
        if refusal == .stack { return SQLiteErrors.nestedTooDeeply }
        if budget.isSpent {
            mustPrepareOnWorker = !mayBlock
            return SQLiteErrors.tooLongToPrepare
        }
        let error = authorization.denial ?? SQLiteErrors.ofPreparing(sql, handle, result)
        // There was memory: the program is longer than SQLITE_LIMIT_VDBE_OP allows (growOpArray in src/vdbeaux.c).
        if result & 0xff == SQLITE_NOMEM, error.code == .databaseError { return SQLiteErrors.programTooLong }
        // It may be a virtual table.
        if !mayBlock, error.details.sqlState == "42P01" { mustPrepareOnWorker = true }
        return error
    }

    /// Only white space, comments and semicolons may follow the first statement.
    private func refuseTail(of sql: UnsafeRawBufferPointer, behind end: Int) throws(DriverError) {
        guard end < sql.count, !SQLiteText.isBlank(UnsafeRawBufferPointer(rebasing: sql[end...])) else { return }
        throw DriverError(
            DriverError.Details(
                code: .badRequest, message: "The SQL text holds more than one statement.",
                hint: "Send one statement in each query, or all of them in a batch.", sqlState: "42601",
                place: TextPlace(end, in: sql))
        )
    }

    /// Binds the parameters of a run.
    ///
    /// Text and blobs are not copied: the owner of the run keeps them until the run has ended
    /// (https://sqlite.org/c3ref/bind_blob.html, SQLITE_STATIC).
    func bind(_ run: StatementRun, to statement: CachedStatement) throws(DriverError) {
        largestParameterByteCount = 0
        // Read once: the run is in another module, and each access is a call.
        let parameters = run.parameters
        if parameters.first?.name != nil {
            // SQLite searches all names for each (sqlite3VListNameToNum in src/util.c).
            if !mayBlock, statement.parameterCount > SQLiteBudget.loopNamedParameterCountMax {
                mustPrepareOnWorker = true
                throw SQLiteErrors.tooLongToPrepare
            }
            return try bindByName(run, to: statement)
        }
        guard parameters.count == statement.parameterCount else {
            throw parameterCountError(statement, parameters.count)
        }
        for index in parameters.indices {
            try bind(parameters[index].value, to: statement, Int32(index + 1))
        }
    }

    /// The positions of named parameters, for a statement with many: SQLite compares each name with all others.
    /// - Returns: `nil` for a few.
    private func places(_ statement: CachedStatement, _ run: StatementRun) throws(DriverError) -> [String: Int32]? {
        guard statement.parameterCount > 16 else { return nil }
        var places: [String: Int32] = [:]
        places.reserveCapacity(statement.parameterCount)
        for place in 1...Int32(statement.parameterCount) {
            if place % 64 == 0, let reason = run.stopReason { throw .stopped(reason) }
            guard let name = sqlite3_bind_parameter_name(statement.handle, place) else { continue }
            places[String(cString: name)] = place
        }
        return places
    }

    private func bindByName(_ run: StatementRun, to statement: CachedStatement) throws(DriverError) {
        sqlite3_clear_bindings(statement.handle)
        var isBound = [Bool](repeating: false, count: statement.parameterCount)
        let places = try places(statement, run)
        for parameter in run.parameters {
            let place = try position(of: parameter.name, in: statement, places)
            try bind(parameter.value, to: statement, place)
            if isBound[Int(place) - 1] {
                throw DriverError(
                    .badRequest, "Parameter \(place) is given twice, with and without its prefix.", sqlState: "07001")
            }
            isBound[Int(place) - 1] = true
        }
        guard run.parameters.count == statement.parameterCount else {
            throw parameterCountError(statement, run.parameters.count)
        }
    }

    private func bind(
        _ value: DriverValue, to statement: CachedStatement, _ place: Int32
    ) throws(DriverError) {
        if case .unsigned = value { throw Self.beyondSigned(statement, place) }
        let result = bind(value, statement.handle, place)
        guard result == SQLITE_OK else {
            throw SQLiteErrors.error(handle, result).with { $0.detail = "Parameter \(place) cannot be bound." }
        }
    }

    /// SQLite has no unsigned integers: beyond 2^63 the value would change, so it is refused.
    private static func beyondSigned(_ statement: CachedStatement, _ place: Int32) -> DriverError {
        let name = sqlite3_bind_parameter_name(statement.handle, place).map { " (\(String(cString: $0)))" } ?? ""
        return DriverError(
            .badRequest,
            "Parameter \(place)\(name) is an integer beyond 9223372036854775807, the greatest that SQLite has.",
            hint: "Send it as text, or as a real number.", sqlState: "22003")
    }

    private func bind(_ value: DriverValue, _ handle: OpaquePointer, _ place: Int32) -> Int32 {
        switch value {
        case .null: return sqlite3_bind_null(handle, place)
        case .bool(let value): return sqlite3_bind_int64(handle, place, value ? 1 : 0)
        case .integer(let value): return sqlite3_bind_int64(handle, place, value)
        case .unsigned: return SQLITE_RANGE
        case .real(let value): return sqlite3_bind_double(handle, place, value)
        case .text(let bytes):
            noteParameter(bytes.count)
            // A NULL pointer would bind NULL; an empty text needs an address.
            let base = bytes.baseAddress ?? Self.emptyAddress
            return sqlite3_bind_text64(
                handle, place, base.assumingMemoryBound(to: CChar.self), UInt64(bytes.count), nil, UInt8(SQLITE_UTF8))
        case .blob(let bytes):
            noteParameter(bytes.count)
            guard let base = bytes.baseAddress, bytes.count > 0 else { return sqlite3_bind_zeroblob(handle, place, 0) }
            return sqlite3_bind_blob64(handle, place, base, UInt64(bytes.count), nil)
        }
    }

    private func noteParameter(_ byteCount: Int) {
        guard byteCount > largestParameterByteCount else { return }
        largestParameterByteCount = byteCount
        // They are still those of the last statement.
        if byteCount > Int(CachedStatement.loopValueByteCountMin) { liftLimits() }
    }

    private static var emptyAddress: UnsafeRawPointer { UnsafeRawPointer(StaticString("").utf8Start) }

    /// Position of a named parameter, given with or without its prefix.
    private func position(
        of name: UnsafeRawBufferPointer?, in statement: CachedStatement, _ places: [String: Int32]?
    ) throws(DriverError) -> Int32 {
        let name = String(decoding: name ?? UnsafeRawBufferPointer(start: nil, count: 0), as: UTF8.self)
        let isPrefixed = name.hasPrefix(":") || name.hasPrefix("@") || name.hasPrefix("$")
        for candidate in isPrefixed ? [name] : [":" + name, "@" + name, "$" + name] {
            let place = places.map { $0[candidate] ?? 0 } ?? sqlite3_bind_parameter_index(statement.handle, candidate)
            if place > 0 { return place }
        }
        throw DriverError(
            .badRequest, "The statement has no parameter named \"\(name.prefix(64))\".",
            hint:
                "Its parameters are: \(statement.parameterNames(20).map { $0 ?? "?" }.joined(separator: ", ")).",
            sqlState: "07001")
    }

    private func parameterCountError(_ statement: CachedStatement, _ given: Int) -> DriverError {
        DriverError(
            .badRequest,
            "The number of parameters is wrong: the statement has \(statement.parameterCount), given: \(given).",
            hint: Hint.parameters, sqlState: "07001")
    }
}
