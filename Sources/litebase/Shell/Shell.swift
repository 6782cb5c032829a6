// The interactive shell: lines in, statements and dot commands out.
//
// The dot commands are in Shell+DotCommands.swift.

internal import LinuxSystem
import LiteBaseClient

/// What the dot commands can change.
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
    let isInteractive: Bool
    let output = StandardOutput()
    /// Whether any statement or command failed.
    private(set) var hasFailed = false
    /// Whether it was left with a transaction open.
    private(set) var hasLostTransaction = false
    /// Set by `.quit`.
    var isOver = false
    /// Whether a transaction was open before the present statement.
    private var hadTransaction = false
    /// How deep `.read` nests.
    private var readDepth = 0
    static let readDepthMax = 16

    init(connection: ShellConnection, settings: ShellSettings, isInteractive: Bool) {
        self.connection = connection
        self.settings = settings
        self.isInteractive = isInteractive
    }

    /// Runs until the input ends or `.quit`.
    /// - Throws: `OutputError`, `InputError`; errors of statements are reported, not thrown.
    func run() throws {
        var lines: any LineReader = PlainLines(showsPrompt: isInteractive)
        if isInteractive {
            connection.cancellationDescriptor = Interrupts.install()
            if let descriptor = connection.cancellationDescriptor,
                let edited = EditedLines(interruptDescriptor: descriptor)
            {
                lines = edited
            }
            try output.print("litebase \(Product.version), connected to \(connection.endpoint). \(try greeting())")
            try output.flush()
        }
        try process(lines, isTerminal: isInteractive)
        noteOpenTransaction()
        if isInteractive, !isOver { try output.print("") }
        try output.flush()
        connection.close()
    }

    private func greeting() throws -> String {
        let rule = try language() == .commandLines ? "Each line is a command. " : ""
        return rule + "Type .help for help, Ctrl-D to leave."
    }

    /// What the session's database takes.
    func language() throws(ClientError) -> StatementSplitter.Language {
        StatementSplitter.Language(engine: try connection.session().information.engine)
    }

    /// Leaving a transaction open is giving it up, which nobody is to find out later.
    private func noteOpenTransaction() {
        guard connection.transaction != .none else { return }
        hasLostTransaction = true
        Terminal.complain("litebase: the open transaction was not committed, and is rolled back")
    }

    /// Runs all that a source of lines has.
    private func process(_ lines: any LineReader, isTerminal: Bool) throws {
        var splitter = try makeSplitter()
        while !isOver {
            if isInteractive { connection.takeNotices() }
            switch try lines.read(prompt: prompt(splitter)) {
            case .line(let line):
                if splitter.isBetweenStatements, let command = Self.dotCommand(line, isTerminal: isTerminal) {
                    splitter.reset()
                    let isDone = try attempt { try self.run(dotCommand: command) }
                    if !isDone, Self.changesTarget(command) { endForOtherTarget() }
                    // It may have led to another database.
                    if command.hasPrefix(".use") { splitter = (try? makeSplitter()) ?? StatementSplitter() }
                    continue
                }
                var rest = (line + [UInt8(ascii: "\n")])[...]
                while !isOver, let statement = splitter.next(&rest) {
                    try run(statement, &splitter, isTerminal: isTerminal)
                }
            case .interrupted:
                Interrupts.clear()
                splitter.reset()
                if isInteractive { try output.print("^C") }
                try output.flush()
            case .endOfInput:
                return try end(&splitter, isTerminal: isTerminal)
            }
        }
    }

    /// `default> `; with a star in a transaction, an exclamation mark in a failed one.
    private func prompt(_ splitter: StatementSplitter) -> String {
        if splitter.isBetweenStatements {
            let mark =
                switch connection.transaction {
                case .none: ""
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
        // What other shells call them; in a script they would be somebody else's.
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
        readDepth += 1
        defer { readDepth -= 1 }
        do throws(Errno) {
            if try Files.status(path)?.kind == .directory { throw Errno.isADirectory }
            let lines = try PlainLines(path: path)
            try? output.flush()
            try processFile(lines)
        } catch {
            throw UsageError("cannot read \(path): \(error)")
        }
    }

    private func processFile(_ lines: PlainLines) throws(Errno) {
        do {
            try process(lines, isTerminal: false)
        } catch let error as InputError {
            hasFailed = true
            Terminal.complain("litebase: \(error.message)")
        } catch {
            hasFailed = true
            Terminal.complain("litebase: \(error)")
        }
    }
}

// Running.
extension Shell {
    /// What is left of a script belongs to the transaction that is gone, and would be committed line by line.
    private func noteLostTransaction() {
        guard hadTransaction else { return }
        hadTransaction = false
        hasLostTransaction = !isInteractive
        isOver = !isInteractive
        Terminal.complain(
            "hint: the open transaction is rolled back\(isInteractive ? "" : "; what follows was not run")")
    }

    private func makeSplitter() throws -> StatementSplitter {
        let language = try language()
        return StatementSplitter(language, .ask(try connection.session(), language) ?? .init())
    }

    /// At a terminal, what was begun and left is discarded; in a file it is an error unless it changes nothing (Script.end).
    private func end(_ splitter: inout StatementSplitter, isTerminal: Bool) throws {
        let isTorn = splitter.isTorn
        guard let last = splitter.finish() else { return }
        let language = try language()
        if language == .commandLines { return try run(last, &splitter, isTerminal: isTerminal) }
        if isTerminal {
            return Terminal.complain("\nlitebase: the statement without a semicolon at its end was not run")
        }
        guard !isTorn, ScriptText.onlyReads(last, try connection.session()) else {
            hasFailed = true
            return Terminal.complain("litebase: line \(last.line): \(ScriptText.unfinished)")
        }
        try run(last, &splitter, isTerminal: isTerminal)
    }

    /// What follows in a script would be done in the wrong place.
    private func endForOtherTarget() {
        guard !isInteractive else { return }
        isOver = true
        Terminal.complain("litebase: what follows is for another database, and was not run")
    }

    /// `.open` is sqlite3's.
    private static func changesTarget(_ command: String) -> Bool {
        [".use", ".open", ".connection"].contains { command == $0 || command.hasPrefix($0 + " ") }
    }

    private func run(
        _ statement: StatementSplitter.Statement, _ splitter: inout StatementSplitter, isTerminal: Bool
    ) throws {
        if let refusal = ScriptText.refusal(of: statement) {
            hasFailed = true
            Terminal.complain("litebase: \(isTerminal ? "" : "line \(statement.line): ")\(refusal)")
            if isTerminal { splitter.stopSkippingData() }
            if ScriptText.changesTarget(statement) { endForOtherTarget() }
            return
        }
        let isDone = try run(statement, line: isTerminal ? nil : statement.line)
        if isOver { return }
        let language = try language()
        if !isDone, Self.leadsElsewhere(statement, language) { return endForOtherTarget() }
        if StatementSplitter.Rules.mayChange(by: statement.bytes, language) {
            splitter.rules = .ask(try connection.session(), language) ?? splitter.rules
        }
    }

    /// USE of MySQL, and what its own client makes of `connect`.
    private static func leadsElsewhere(
        _ statement: StatementSplitter.Statement, _ language: StatementSplitter.Language
    ) -> Bool {
        let word = PlainWords.first(of: statement.bytes)
        return switch language {
        case .mysql: word == "use" || word == "connect"
        case .commandLines: word == "select"
        case .sqlite, .postgresql: false
        }
    }

    /// - Returns: whether it was done.
    private func run(_ statement: StatementSplitter.Statement, line: Int?) throws -> Bool {
        guard let sql = statement.text else {
            hasFailed = true
            Terminal.complain("litebase: the statement is not UTF-8 text")
            return false
        }
        hadTransaction = connection.transaction != .none
        return try attempt(line: line) {
            do {
                try self.run(sql: sql)
            } catch let error as StatementError where error.error.isLostSession && !self.hadTransaction {
                // The daemon was restarted under the connection, or the server has ended it. Nothing ran, and there was no
                // transaction: once more.
                if error.error.serverError?.code != .sessionNotFound {
                    Terminal.complain("litebase: the database has ended the session; this statement runs in a new one")
                }
                self.connection.forgetSession()
                try self.run(sql: sql)
            }
        }
    }

    /// Runs one statement in the session and shows what it did.
    func run(sql: String, _ parameters: Parameters = .none, format: OutputFormat? = nil) throws {
        Interrupts.clear()
        let start = MonotonicInstant.now
        let runner = StatementRunner(
            target: .session(try connection.session()), options: settings.limits, output: output)
        var formatter = (format ?? settings.format).formatter(settings.style)
        do {
            let summary = try runner.run(sql, parameters, &formatter)
            if let state = summary?.transaction { connection.transaction = state }
            if summary == nil {
                Terminal.complain("")
                Terminal.complain("litebase: the statement was cancelled")
            }
        } catch let error as ClientError {
            if let state = error.serverError?.transaction { connection.transaction = state }
            throw StatementError(error: error, sql: sql)
        }
        if settings.showsTiming {
            let elapsed = MonotonicInstant.now.nanoseconds(since: start)
            try output.print("Time: \(PingCommand.milliseconds(elapsed)) ms")
            try output.flush()
        }
    }

    /// Runs something and reports its failure, which does not end the shell.
    /// - Returns: whether there was none.
    @discardableResult
    private func attempt(line: Int? = nil, _ body: () throws -> Void) throws -> Bool {
        var isDone = false
        do {
            try body()
            isDone = true
        } catch let error as StatementError {
            report(error.error, sql: error.sql, line: line)
        } catch let error as ClientError {
            report(error, sql: nil)
        } catch let error as UsageError {
            hasFailed = true
            Terminal.complain("litebase: \(error.message)")
        }
        try output.flush()
        return isDone
    }

    private func report(_ error: ClientError, sql: String?, line: Int? = nil) {
        hasFailed = true
        // The terminal shows ^C where the cursor was.
        if isInteractive, Interrupts.isRaised { Terminal.complain("") }
        ErrorReport.print(error, sql: sql, scriptLine: line)
        switch error {
        case .disconnected, .cannotConnect, .noSocket, .untrusted, .protocolViolation, .timedOut:
            connection.drop()
            noteLostTransaction()
        case .server where error.endsSession:
            connection.forgetSession()
            noteLostTransaction()
        case .server, .invalidRequest:
            break
        }
    }
}
