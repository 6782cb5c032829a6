// The interactive shell: lines in, statements and dot commands out.
//
// The dot commands are in Shell+DotCommands.swift.

internal import LinuxSystem
import LiteBaseClient
import SQLText

/// The settings that dot commands can change.
struct ShellSettings {
    var format: OutputFormat
    var style: OutputStyle
    var limits: QueryOptions
    var showsTiming = false
}

/// Reads statements and runs them in one session.
final class Shell {
    let connection: ShellConnection
    var settings: ShellSettings
    /// Whether somebody types. If only the input is a terminal, results go to the output, and the shell's own messages
    /// to the terminal.
    let isInteractive: Bool
    let output = StandardOutput()
    /// Whether any statement or command failed.
    private(set) var hasFailed = false
    /// Whether it was left with a transaction open.
    private(set) var hasLostTransaction = false
    /// Set by `.quit`.
    var isOver = false
    private let errorPolicy: ErrorPolicy
    /// What of a script is run; `nil` at a terminal.
    private var place: ScriptPlace?
    /// Whether the rest of the script that is read is not run.
    private var endsScript = false
    /// Whether a statement of a script was run.
    private var hasRun = false
    private var dump = VirtualTableDump()
    /// Whether a transaction was open before the present statement.
    private var hadTransaction = false
    /// At a terminal: what is typed belongs to a transaction that was rolled back with its session, until that is ended.
    private var isTransactionGone = false
    /// Since when a statement runs whose time was not shown.
    private var statementStart: MonotonicInstant?
    /// How deep `.read` nests.
    private var readDepth = 0
    static let readDepthMax = 16

    init(
        connection: ShellConnection, settings: ShellSettings, errorPolicy: ErrorPolicy = .stop, isInteractive: Bool
    ) {
        self.connection = connection
        self.settings = settings
        self.errorPolicy = errorPolicy
        self.isInteractive = isInteractive
    }

    /// Runs until the input ends or `.quit`.
    /// - Throws: `OutputError`, `InputError`; errors of statements are reported, not thrown.
    func run() throws {
        var lines: any LineReader = PlainLines(showsPrompt: isInteractive)
        if isInteractive {
            connection.cancellationDescriptor = Interrupts.install()
            if Terminal.outputIsTerminal, let descriptor = connection.cancellationDescriptor,
                let edited = EditedLines(interruptDescriptor: descriptor)
            {
                lines = edited
            }
            try tell("litebase \(Product.version), connected to \(connection.endpoint). \(try greeting())")
        }
        try process(lines, script: isInteractive ? nil : ScriptPlace(line: 0))
        noteOpenTransaction()
        try output.flush()
        connection.close()
    }

    /// Says something to the person at the terminal.
    private func tell(_ line: String) throws {
        guard Terminal.outputIsTerminal else { return Terminal.complain(line) }
        try output.print(line)
        try output.flush()
    }

    private func greeting() throws -> String {
        let rule = try language() == .commandLines ? "Each line is a command. " : ""
        return rule + "Type .help for help, Ctrl-D to leave."
    }

    /// The language of the session's database.
    func language() throws(ClientError) -> StatementSplitter.Language {
        StatementSplitter.Language(engine: try connection.session().information.engine)
    }

    /// Leaving the shell with an open transaction rolls it back; the user has to know that.
    private func noteOpenTransaction() {
        guard connection.transaction != .none else { return }
        hasLostTransaction = true
        Terminal.complain("litebase: the open transaction was not committed, and is rolled back")
    }

    /// Runs all that a source of lines has. `script` is which it is, whatever its line; `nil` for the terminal.
    private func process(_ lines: any LineReader, script: ScriptPlace?) throws {
        var splitter = try makeSplitter()
        if let script, errorPolicy == .stop, let refusal = (lines as? PlainLines)?.refusal(splitter) {
            place = ScriptPlace(file: script.file, line: refusal.line)
            complain(refusal.reason)
            return Terminal.complain(ScriptText.nothingRun)
        }
        var typed: [[UInt8]] = []
        while !isOver, !endsScript {
            if isInteractive { connection.takeNotices() }
            switch try lines.read(prompt: prompt(splitter)) {
            case .line(let line):
                typed.append(line)
                defer {
                    if splitter.isBetweenStatements {
                        lines.remember(typed)
                        typed = []
                    }
                }
                if splitter.isBetweenStatements, let command = Self.dotCommand(line, isTerminal: script == nil) {
                    try run(command, &splitter, script)
                    continue
                }
                guard let text = script == nil ? TypedLine.text(line, splitter) : line else {
                    typed.removeLast()
                    complain(TypedLine.refusal(line))
                    continue
                }
                var rest = (text + [UInt8(ascii: "\n")])[...]
                while !isOver, !endsScript, let statement = splitter.next(&rest) {
                    try run(statement, &splitter, script)
                }
            case .interrupted:
                Interrupts.clear()
                splitter.reset()
                lines.remember(typed)
                typed = []
                // Only the line editor has the terminal show nothing.
                if isInteractive { try tell(lines is EditedLines ? "^C" : "") }
            case .endOfInput:
                // The prompt is still there.
                if script == nil { try tell("") }
                return try end(&splitter, script)
            }
        }
    }

    private func run(_ command: String, _ splitter: inout StatementSplitter, _ script: ScriptPlace?) throws {
        let line = splitter.line
        place = script.map { ScriptPlace(file: $0.file, line: line) }
        splitter.reset()
        let isDone = try attempt { try self.run(dotCommand: command) }
        if !isDone, Self.changesTarget(command) { endForOtherTarget() }
        if isDone, Self.changesTarget(command) { isTransactionGone = false }
        // It may have led to another database.
        if command.hasPrefix(".use") { splitter = (try? makeSplitter()) ?? StatementSplitter() }
        splitter.line = line + 1
    }

    /// `default> `; with a star in a transaction, an exclamation mark in a failed one.
    private func prompt(_ splitter: StatementSplitter) -> String {
        if splitter.isBetweenStatements {
            let mark =
                switch connection.transaction {
                case .none: isTransactionGone ? "!" : ""
                case .active: "*"
                case .failed: "!"
                }
            return TerminalEscaping.visible(connection.name) + mark + "> "
        }
        let inside =
            switch splitter.context {
            case .quoted(let end): String(UnicodeScalar(end == UInt8(ascii: "]") ? UInt8(ascii: "[") : end))
            case .blockComment: "*"
            case .dollarQuoted: "$"
            case .plain, .lineComment, .line: "."
            }
        let width = DisplayWidth.of(TerminalEscaping.visible(connection.name))
        return String(repeating: " ", count: max(0, width - 2)) + "..\(inside)> "
    }

    private static func dotCommand(_ line: [UInt8], isTerminal: Bool) -> String? {
        guard let text = String(validating: line, as: UTF8.self) else { return nil }
        let trimmed = text.drop { $0.isWhitespace }
        if trimmed.hasPrefix(".") { return String(trimmed) }
        guard isTerminal else { return nil }
        // The names in other shells; in a script they would be something else.
        let word = String(trimmed.reversed().drop { $0.isWhitespace || $0 == ";" }.reversed())
        return familiar[word.lowercased()]
    }

    private static let familiar = [
        "exit": ".quit", "quit": ".quit", "\\q": ".quit", "help": ".help", "\\?": ".help", "\\h": ".help",
        "\\d": ".tables", "\\dt": ".tables", "\\l": ".databases",
    ]

    /// Runs the lines of a file.
    func read(path: String) throws {
        guard readDepth < Self.readDepthMax else { throw UsageError(".read nests too deep") }
        let outer = place
        readDepth += 1
        defer {
            readDepth -= 1
            place = outer
        }
        let lines = try Self.open(path)
        try? output.flush()
        let hadTransaction = connection.transaction != .none
        try process(lines, script: ScriptPlace(file: path, line: 0))
        if isInteractive, !isOver, outer == nil, !hadTransaction, connection.transaction != .none {
            Terminal.complain("litebase: \(path) has left a transaction open; COMMIT or ROLLBACK ends it")
        }
        guard endsScript else { return }
        endsScript = false
        throw ScriptEnded()
    }

    private static func open(_ path: String) throws(UsageError) -> PlainLines {
        do throws(Errno) {
            if try Files.status(path)?.kind == .directory { throw Errno.isADirectory }
            return try PlainLines(path: path)
        } catch {
            throw UsageError("cannot read \(path): \(error)")
        }
    }

    /// A script that was read has ended before its end, and has said why.
    private struct ScriptEnded: Error {}
}

// Running.
extension Shell {
    /// The rest of a script belongs to the lost transaction, and would be committed line by line.
    private func noteLostTransaction(withSession: Bool) {
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
    private func isHeldBack(_ statement: StatementSplitter.Statement) -> Bool {
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
    private func complain(_ message: String) {
        Terminal.complain("litebase: \(place.map { "\($0): " } ?? "")\(message)")
        noteFailure()
    }

    private func noteFailure() {
        hasFailed = true
        if place != nil, errorPolicy == .stop { endsScript = true }
    }

    private func makeSplitter() throws -> StatementSplitter {
        let language = try language()
        return StatementSplitter(language, .ask(try connection.session(), language) ?? .init())
    }

    /// At a terminal, what was begun and left is discarded; in a file it is an error unless it changes nothing (Script.end).
    private func end(_ splitter: inout StatementSplitter, _ script: ScriptPlace?) throws {
        let isTorn = splitter.isTorn
        guard let last = splitter.finish() else { return }
        let language = try language()
        if language == .commandLines { return try run(last, &splitter, script) }
        if script == nil {
            return Terminal.complain("litebase: the statement without a semicolon at its end was not run")
        }
        guard !isTorn, ScriptText.onlyReads(last, try connection.session()) else {
            place = script.map { ScriptPlace(file: $0.file, line: last.line) }
            return complain(ScriptText.unfinished)
        }
        try run(last, &splitter, script)
    }

    /// What follows in a script would be done in the wrong place.
    private func endForOtherTarget() {
        guard place != nil else { return }
        endsScript = true
        isOver = !isInteractive
        Terminal.complain("litebase: what follows is for another database, and was not run")
    }

    /// `.open` is sqlite3's.
    private static func changesTarget(_ command: String) -> Bool {
        [".use", ".open", ".connection"].contains { command == $0 || command.hasPrefix($0 + " ") }
    }

    private func run(
        _ statement: StatementSplitter.Statement, _ splitter: inout StatementSplitter, _ script: ScriptPlace?
    ) throws {
        place = script.map { ScriptPlace(file: $0.file, line: statement.line) }
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
        let rules = splitter.rules
        let isDone = try attempt { try self.run(statement, language, rules) }
        if script != nil { hasRun = true }
        if isOver { return }
        if !isDone, ScriptText.leadsElsewhere(statement, language) { return endForOtherTarget() }
        if StatementSplitter.Rules.mayChange(by: statement.bytes, language),
            let session = try atTerminal({ try self.connection.session() })
        {
            splitter.rules = .ask(session, language) ?? splitter.rules
        }
    }

    private func run(
        _ statement: StatementSplitter.Statement, _ language: StatementSplitter.Language,
        _ rules: StatementSplitter.Rules
    ) throws {
        let sql = try RawText.sql(of: statement, language, rules)
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

    private func runInNewSessionIfLost(_ sql: String) throws {
        do {
            try run(sql: sql)
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
            try run(sql: sql)
        }
    }

    /// Runs one statement in the session and shows its result.
    func run(sql: String, _ parameters: Parameters = .none, format: OutputFormat? = nil) throws {
        Interrupts.clear()
        statementStart = .now
        let session = try connection.session()
        let runner = StatementRunner(target: .session(session), options: settings.limits, output: output)
        if SessionState.mayBeChanged(by: sql, StatementSplitter.Language(engine: session.information.engine)) {
            connection.holdsState = true
        }
        var formatter = (format ?? settings.format).formatter(settings.style)
        do {
            let summary = try runner.run(sql, parameters, &formatter)
            if let state = summary?.transaction { connection.transaction = state }
            if summary == nil {
                Terminal.complain("")
                Terminal.complain("litebase: the statement was cancelled")
                if place != nil { endsScript = true }
            }
        } catch let error as ClientError {
            if let state = error.serverError?.transaction { connection.transaction = state }
            throw StatementError(error: error, sql: sql)
        }
        try showTime()
    }

    /// Shows how long the statement took that has ended, once.
    private func showTime() throws {
        guard let start = statementStart.take(), settings.showsTiming else { return }
        let elapsed = MonotonicInstant.now.nanoseconds(since: start)
        try output.print("Time: \(PingCommand.milliseconds(elapsed)) ms")
        try output.flush()
    }

    /// Runs something and reports its failure, which does not end the shell.
    /// - Returns: whether there was none.
    @discardableResult
    private func attempt(_ body: () throws -> Void) throws -> Bool {
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
            complain(error.message)
        } catch is ScriptEnded {
            noteFailure()
        }
        try output.flush()
        return isDone
    }

    /// At a terminal an error is shown, and the next statement may reach the server again; elsewhere it ends the
    /// program.
    private func atTerminal<T>(_ body: () throws -> T) throws -> T? {
        guard isInteractive else { return try body() }
        var result: T?
        _ = try attempt { result = try body() }
        return result
    }

    private func noteLostState() {
        guard connection.holdsState, isInteractive else { return }
        connection.holdsState = false
        Terminal.complain(
            "hint: settings, temporary tables and locks of the session are gone; the next statement begins a new one")
    }

    private func report(_ error: ClientError, sql: String?) {
        noteFailure()
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
        case .server, .invalidRequest:
            break
        }
    }
}
