// How the shell runs statements and commands, and what it says of their ends.

internal import LinuxSystem
import LiteBaseClient
import SQLText

extension Shell {
    /// The rest of a script belongs to the lost transaction, and would be committed line by line.
    func noteLostTransaction(withSession: Bool) {
        guard hadTransaction else { return }
        isTransactionGone = isInteractive && withSession
        hadTransaction = false
        hasLostTransaction = !isInteractive
        isOver = !isInteractive
        endsScript = place != nil
        let advice =
            isTransactionGone && place == nil ? "; ROLLBACK ends it, and what comes before that is not run" : ""
        Terminal.complain(
            "hint: \(place == nil ? "the open transaction is rolled back" : ScriptText.lostTransaction)\(advice)")
    }

    /// What is typed behind a transaction that is gone would be committed by itself, as is the rest of what was pasted.
    /// - Returns: whether it is not sent.
    func isHeldBack(_ statement: StatementSplitter.Statement) -> Bool {
        guard isTransactionGone else { return false }
        switch TransactionEnd(statement.text ?? "") {
        case .rollback:
            isTransactionGone = false
        case .commit:
            isTransactionGone = false
            complain("the transaction was rolled back when its session was lost: nothing is committed")
        case nil:
            complain("the transaction is rolled back, and this was not run; ROLLBACK ends it")
        }
        return true
    }

    /// Reports an error and its place.
    func complain(_ message: String, _ status: Int32 = ExitStatus.statementFailed) {
        Terminal.complain("litebase: \(place.map { "\($0): " } ?? "")\(message)")
        noteFailure(status)
    }

    func noteFailure(_ status: Int32 = ExitStatus.statementFailed) {
        // A script that went on behind an error has no one reason.
        failureStatus = errorPolicy == .stop ? status : ExitStatus.statementFailed
        if place != nil, errorPolicy == .stop { endsScript = true }
    }

    func makeSplitter() throws -> StatementSplitter {
        let language = try language()
        return StatementSplitter(language, .ask(try connection.session(), language) ?? .init())
    }

    /// At a terminal, what was begun and left is discarded; in a file it is an error unless it changes nothing (Script.end).
    func end(_ splitter: inout StatementSplitter, _ script: ScriptPlace?) throws {
        let isTorn = splitter.isTorn
        if let copy = copy.take() {
            copy.abandon()
            place = copy.place
            return complain(ScriptCopy.unfinished, ExitStatus.dataError)
        }
        guard let last = splitter.finish() else { return }
        let language = try language()
        if language == .commandLines { return try run(last, &splitter, script) }
        if script == nil {
            return Terminal.complain("litebase: the statement without a semicolon at its end was not run")
        }
        guard !isTorn, ScriptText.onlyReads(last, try connection.session()) else {
            place = script.map { ScriptPlace(file: $0.file, line: last.line) }
            return complain(ScriptText.unfinished, ExitStatus.dataError)
        }
        try run(last, &splitter, script)
    }

    /// What follows in a script would be done in the wrong place.
    func endForOtherTarget() {
        guard place != nil else { return }
        endsScript = true
        isOver = !isInteractive
        Terminal.complain("litebase: what follows is for another database, and was not run")
    }

    /// `.open` is sqlite3's.
    static func changesTarget(_ command: String) -> Bool {
        [".use", ".open", ".connection"].contains { command.hasPrefix($0 + " ") }
    }

    func run(
        _ statement: StatementSplitter.Statement, _ splitter: inout StatementSplitter, _ script: ScriptPlace?
    ) throws {
        place = script.map { ScriptPlace(file: $0.file, line: statement.line) }
        if script != nil, statement.kind == .directive, try fulfil(statement) { return }
        if let refusal = ScriptText.refusal(of: statement, isTyped: script == nil) {
            complain(refusal)
            if script == nil { splitter.stopSkippingData() }
            if script != nil, errorPolicy == .stop, hasRun { Terminal.complain(ScriptText.othersRun) }
            if ScriptText.changesTarget(statement) { endForOtherTarget() }
            return
        }
        if isHeldBack(statement) { return }
        guard let language = try atTerminal({ try self.language() }) else { return }
        hadTransaction = connection.transaction != .none
        rules = splitter.rules
        if script == nil { lastStatement = statement.text }
        defer { ending = nil }
        if let target = ending?.target, try !attempt({ try self.redirect(target, isForOne: true) }) { return }
        let start = MonotonicInstant.now
        lastError = nil
        let isDone = try attempt { try self.run(statement, language, self.rules) }
        if script == nil, keepsStatement, let text = statement.text {
            let elapsed = MonotonicInstant.now.nanoseconds(since: start) / 1000
            history?.note(text, language, database: connection.name, microseconds: lastElapsed ?? elapsed, lastError)
        }
        if script != nil { hasRun = true }
        if isOver { return }
        if !isDone, ScriptText.leadsElsewhere(statement, language) { return endForOtherTarget() }
        if StatementSplitter.Rules.mayChange(by: statement.bytes, language),
            let session = try atTerminal({ try self.connection.session() })
        {
            splitter.rules = .ask(session, language) ?? splitter.rules
            rules = splitter.rules
        }
        if script == nil { completer?.note(statement: statement.text ?? "") }
    }

    func run(
        _ statement: StatementSplitter.Statement, _ language: StatementSplitter.Language,
        _ rules: StatementSplitter.Rules
    ) throws {
        let sql = try RawText.sql(of: statement, language, rules)
        if statement.kind == .copyFromInput {
            do throws(ClientError) {
                copy = try ScriptCopy(statement, sql, place, in: try connection.session())
            } catch {
                throw StatementError(error: error, sql: sql)
            }
            return
        }
        let steps = try language == .sqlite ? dump.steps(for: sql) : [.send(sql)]
        for step in steps {
            switch step {
            case .send(let sql): try runInNewSessionIfLost(sql)
            case .make(let table):
                do throws(ClientError) {
                    try table.make(in: try connection.session())
                } catch {
                    throw StatementError(error: error, sql: table.sql)
                }
            }
        }
    }

    /// Takes data of the COPY that is under way.
    func take(_ data: (bytes: [UInt8], isEnd: Bool)) throws {
        guard let copy else { return }
        do {
            guard let summary = try copy.take(data) else { return }
            self.copy = nil
            if let state = summary.transaction { connection.transaction = state }
            var formatter = settings.format.formatter(style)
            let runner = StatementRunner(
                target: .session(try connection.session()), options: settings.limits, output: output)
            try runner.show(summary, of: copy.sql, &formatter)
        } catch let error as ClientError {
            self.copy = nil
            place = copy.place
            if let state = error.transaction(after: connection.transaction) { connection.transaction = state }
            throw StatementError(error: error, sql: copy.sql)
        }
    }

    /// Does what a line of psql's asks for in a script, if that can be done (`ScriptText.fulfil`).
    /// - Returns: false if it asks for something else.
    private func fulfil(_ statement: StatementSplitter.Statement) throws -> Bool {
        var isFulfilled = false
        let isDone = try attempt {
            isFulfilled = try ScriptText.fulfil(statement, try self.language(), try self.connection.session())
        }
        return isFulfilled || !isDone
    }

    func runInNewSessionIfLost(_ text: String) throws {
        let format: OutputFormat? = ending?.isExpanded ?? false ? .record : nil
        let (sql, parameters) = try bound(text)
        do {
            try run(sql: sql, parameters, format: format)
        } catch let error as StatementError where error.error.isLostSession && !hadTransaction {
            // The daemon was restarted under the connection, or the server has ended it. Nothing ran, and there was no
            // transaction: once more.
            let heldState = connection.holdsState
            connection.forgetSession()
            // In another database, or on another table of that name, it might do harm.
            if heldState { throw InputError(message: ScriptText.lostState) }
            if error.error.serverError?.code != .sessionNotFound {
                Terminal.complain("litebase: the database has ended the session; this statement runs in a new one")
            }
            try run(sql: sql, parameters, format: format)
        }
    }

    /// Runs one statement in the session and shows its result.
    func run(sql: String, _ parameters: Parameters = .none, format: OutputFormat? = nil) throws {
        Interrupts.clear()
        statementStart = .now
        let session = try connection.session()
        try withScreen { try self.run(sql, parameters, in: session, format) }
        try showTime()
    }

    private func run(
        _ sql: String, _ parameters: Parameters, in session: BlockingSession, _ format: OutputFormat?
    ) throws {
        var runner = StatementRunner(target: .session(session), options: settings.limits, output: output)
        runner.isInTransaction = connection.transaction != .none
        if SessionState.mayBeChanged(by: sql, StatementSplitter.Language(engine: session.information.engine)) {
            connection.holdsState = true
        }
        var formatter = (format ?? settings.format).formatter(style)
        do {
            lastElapsed = nil
            let summary = try runner.run(sql, parameters, &formatter)
            lastElapsed =
                summary.elapsed.components.seconds * 1_000_000
                + summary.elapsed.components.attoseconds / 1_000_000_000_000
            if let state = summary.transaction { connection.transaction = state }
        } catch let error as ClientError {
            if let state = error.transaction(after: connection.transaction) { connection.transaction = state }
            throw StatementError(error: error, sql: sql)
        } catch let error as OutputError {
            if let state = error.summary?.transaction { connection.transaction = state }
            throw error
        }
    }

    /// Shows how long the statement took that has ended, once.
    func showTime() throws {
        guard let start = statementStart.take(), settings.showsTiming else { return }
        let elapsed = MonotonicInstant.now.nanoseconds(since: start)
        let line = "Time: \(PingCommand.milliseconds(elapsed)) ms"
        // What goes to a file is the result alone.
        if outputFile != nil { return tell(line) }
        try output.print(line)
        try output.flush()
    }

    /// Runs something and reports its failure, which does not end the shell.
    /// - Returns: whether there was none.
    @discardableResult
    func attempt(_ body: () throws -> Void) throws -> Bool {
        var isDone = false
        do {
            try body()
            isDone = true
        } catch let error as StatementError {
            report(error.error, sql: error.sql)
            try showTime()
        } catch let error as ClientError {
            report(error, sql: nil)
        } catch let error as UsageError {
            complain(error.message)
        } catch let error as InputError {
            complain(error.message, error.status)
        } catch is ScriptEnded {
            noteFailure(failureStatus ?? ExitStatus.statementFailed)
        }
        try output.flush()
        return isDone
    }

    /// At a terminal an error is shown, and the next statement may reach the server again; elsewhere it ends the
    /// program.
    func atTerminal<T>(_ body: () throws -> T) throws -> T? {
        guard isInteractive else { return try body() }
        var result: T?
        _ = try attempt { result = try body() }
        return result
    }

    func noteLostState() {
        guard connection.holdsState, isInteractive else { return }
        connection.holdsState = false
        Terminal.complain(
            "hint: settings, temporary tables and locks of the session are gone; the next statement begins a new one")
    }

    func report(_ error: ClientError, sql: String?) {
        noteFailure(ExitStatus.of(error))
        lastError = error
        if Interrupts.isRaised, place != nil { endsScript = true }
        // The terminal shows ^C where the cursor was.
        if isInteractive, Interrupts.isRaised { Terminal.complain("") }
        ErrorReport.print(error, sql: sql, place: place)
        switch error {
        case .disconnected, .cannotConnect, .noSocket, .untrusted, .protocolViolation, .timedOut:
            noteLostState()
            connection.drop()
            dump = VirtualTableDump()
            noteLostTransaction(withSession: true)
        case .server where error.endsSession:
            noteLostState()
            connection.forgetSession()
            dump = VirtualTableDump()
            noteLostTransaction(withSession: true)
        // By the engine, as after a deadlock.
        case .server where connection.transaction == .none && sql.map(RowStatement.isMeant) ?? false:
            noteLostTransaction(withSession: false)
        case .server, .invalidRequest, .unreadableInput, .cannotWrite:
            break
        }
    }
}
