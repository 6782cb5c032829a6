// The interactive shell: lines in, statements and dot commands out.
//
// The dot commands are in Shell+DotCommands.swift, running is in Shell+Running.swift.

internal import LinuxSystem
import LiteBaseClient
import SQLText

/// The settings that dot commands can change.
struct ShellSettings {
    var format: OutputFormat
    var style: OutputStyle
    var limits: QueryOptions
    var showsTiming = false
    /// Whether results that are longer than the screen go through a pager.
    var hasPager = true
    var parameters = ShellParameters()
}

/// Reads statements and runs them in one session.
final class Shell {
    let connection: ShellConnection
    var settings: ShellSettings
    /// Whether somebody types. If only the input is a terminal, results go to the output, and the shell's own messages
    /// to the terminal.
    let isInteractive: Bool
    let output = StandardOutput()
    /// The exit status of the last statement or command that failed; `nil` if none has.
    var failureStatus: Int32?
    /// Whether it was left with a transaction open.
    var hasLostTransaction = false
    /// Set by `.quit`.
    var isOver = false
    let errorPolicy: ErrorPolicy
    /// What of a script is run; `nil` at a terminal.
    var place: ScriptPlace?
    /// Whether the rest of the script that is read is not run.
    var endsScript = false
    /// Whether a statement of a script was run.
    var hasRun = false
    var dump = VirtualTableDump()
    /// A COPY of a script whose data come.
    var copy: ScriptCopy?
    /// Whether a transaction was open before the present statement.
    var hadTransaction = false
    /// At a terminal: what is typed belongs to a transaction that was rolled back with its session, until that is ended.
    var isTransactionGone = false
    /// Since when a statement runs whose time was not shown.
    var statementStart: MonotonicInstant?
    /// Where results go by `.output` or `.once`.
    var outputFile: OutputFile?
    /// The screen of the present result.
    var pager: Pager?
    /// Notices that came while the screen was the pager's.
    var heldNotices: [Notice] = []
    /// The last statement that somebody typed, for `.again`, `.edit` and `.watch`.
    var lastStatement: String?
    /// How the statement is to be shown that is being typed, by what ended it.
    var ending: TypedLine.Ending?
    /// What somebody types at; `nil` for a script.
    var typedLines: (any LineReader)?
    /// What somebody types is counted there; `nil` where nothing is.
    var history: HistoryStore?
    /// Whether the statement that is typed is kept: one that begins with a space is not.
    var keepsStatement = true
    /// How the statement has ended: how long the daemon has worked on it, in microseconds, and why it failed.
    var lastElapsed: Int64?
    var lastError: ClientError?
    /// What Tab proposes, where lines are edited.
    var completer: StatementCompleter?
    /// How the engine reads quotes.
    var rules = StatementSplitter.Rules()
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

    /// What is run instead of what is typed, if anything is.
    var sources: [ShellSource] = []
    /// Whether the startup file is run before somebody types.
    var hasStartup = true

    /// Runs until the input ends or `.quit`.
    /// - Throws: `OutputError`, `InputError`; errors of statements are reported, not thrown.
    func run() throws {
        var lines: any LineReader = PlainLines(showsPrompt: isInteractive)
        connection.showNotice = { [weak self] in self?.show($0) }
        connection.cancellationDescriptor = Interrupts.install(isOnce: !isInteractive)
        if isInteractive {
            if Terminal.outputIsTerminal, let descriptor = connection.cancellationDescriptor,
                let edited = EditedLines(interruptDescriptor: descriptor, hasColor: settings.style.hasColor)
            {
                let completer = StatementCompleter(connection)
                edited.setCompleter { Completion($0, cursor: $1, completer, commands: Self.dotCommandNames) }
                self.completer = completer
                lines = edited
            }
            typedLines = lines
            history = HistoryStore.open()
            tell("litebase \(Product.version), connected to \(connection.endpoint). \(try greeting())")
        }
        if isInteractive, hasStartup { try start() }
        if sources.isEmpty {
            try process(lines, script: isInteractive ? nil : ScriptPlace(line: 0))
        } else {
            try run(sources)
        }
        noteOpenTransaction()
        try output.flush()
        outputFile?.close()
        connection.close()
        if !isInteractive, Interrupts.isRaised { throw InterruptedError() }
    }

    /// Says something to the person at the terminal.
    func tell(_ line: String) { Terminal.tell(line) }

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
    func process(_ lines: any LineReader, script: ScriptPlace?) throws {
        var splitter = try makeSplitter()
        if let script, errorPolicy == .stop,
            let refusal = (lines as? PlainLines)?.refusal(splitter, try connection.session())
        {
            place = ScriptPlace(file: script.file, line: refusal.line)
            complain(refusal.reason, refusal.status)
            return Terminal.complain(ScriptText.nothingRun)
        }
        var typed: [[UInt8]] = []
        while !isOver, !endsScript {
            if isInteractive { connection.takeNotices() }
            completer?.before = typed
            let colours = LineColours(splitter: splitter, commands: Self.dotCommandNames)
            switch try lines.read(prompt: prompt(splitter), colours) {
            case .line(let line):
                typed.append(line)
                keepsStatement = typed[0].first != UInt8(ascii: " ")
                try take(line, &splitter, &typed, from: lines, script)
                if splitter.isBetweenStatements {
                    lines.remember(typed)
                    typed = []
                }
            case .interrupted:
                if !isInteractive { throw InterruptedError() }
                Interrupts.clear()
                splitter.reset()
                lines.remember(typed)
                typed = []
                // Only the line editor has the terminal show nothing.
                if isInteractive { tell(lines is EditedLines ? "^C" : "") }
            case .endOfInput:
                // The prompt is still there.
                if script == nil, !(lines is TextLines) { tell("") }
                return try end(&splitter, script)
            }
        }
    }

    /// Takes one line: a command, or a part of a statement. `typed` are the lines of the statement, with this one.
    private func take(
        _ line: [UInt8], _ splitter: inout StatementSplitter, _ typed: inout [[UInt8]], from lines: any LineReader,
        _ script: ScriptPlace?
    ) throws {
        let isBetween = splitter.isBetweenStatements
        if isBetween, let command = Self.dotCommand(line, isTerminal: script == nil) {
            return try run(command, &splitter, script)
        }
        // psql's and MySQL's, which Redis would take for commands of its own.
        if splitter.language == .commandLines, Self.isBackslashLine(line) {
            place = script.map { ScriptPlace(file: $0.file, line: splitter.line) }
            splitter.line += 1
            return complain(ScriptText.refusal(ofLine: line))
        }
        guard script == nil else { return try runStatements(of: line, nil, &splitter, from: lines, script) }
        if !isBetween, splitter.context == .plain, Self.familiar[Self.word(line)] != nil {
            Terminal.complain("hint: the statement is still open: a semicolon ends it, Ctrl-C drops it")
        }
        guard var text = TypedLine.text(line, splitter) else {
            typed.removeLast()
            return try takeCommand(line, &splitter, &typed)
        }
        let ending = TypedLine.ending(line, splitter)
        // MySQL's own client needs no semicolon there.
        if isBetween, TypedLine.isUse(text, splitter.language) { text += splitter.terminator }
        try runStatements(of: text, ending, &splitter, from: lines, nil)
    }

    /// Takes a command in the middle of a statement.
    private func takeCommand(
        _ line: [UInt8], _ splitter: inout StatementSplitter, _ typed: inout [[UInt8]]
    ) throws {
        guard TypedLine.isEdit(TypedLine.word(of: line)) else { return complain(TypedLine.refusal(line)) }
        let text = Array(typed.joined(separator: [UInt8(ascii: "\n")]))
        splitter.reset()
        typed = []
        try attempt { try self.edit(String(decoding: text, as: UTF8.self)) }
    }

    private func runStatements(
        of text: [UInt8], _ lineEnding: TypedLine.Ending?, _ splitter: inout StatementSplitter,
        from lines: any LineReader, _ script: ScriptPlace?
    ) throws {
        var rest = (text + [UInt8(ascii: "\n")])[...]
        while !isOver, !endsScript {
            if splitter.isInData {
                let data = splitter.takeData(&rest)
                if copy != nil { try attempt { try self.take(data) } }
                if !data.isEnd { return }
            }
            guard let statement = splitter.next(&rest) else { return }
            do {
                // It belongs to the last one.
                ending = rest.allSatisfy { $0 <= 0x20 } ? lineEnding : nil
                try run(statement, &splitter, script)
            } catch let error as OutputError {
                if let place, let lines = lines as? PlainLines, lines.hasRest {
                    Terminal.complain("litebase: behind \(place): \(ScriptText.nobodyReads)")
                }
                throw error
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

    private static func isBackslashLine(_ line: [UInt8]) -> Bool {
        line.first { $0 > 0x20 } == UInt8(ascii: "\\")
    }

    private static func dotCommand(_ line: [UInt8], isTerminal: Bool) -> String? {
        guard let text = String(validating: line, as: UTF8.self) else { return nil }
        let trimmed = text.drop { $0.isWhitespace }
        if trimmed.hasPrefix(".") { return String(trimmed) }
        guard isTerminal else { return nil }
        // A word that is not known gets its answer as a command, too.
        if trimmed.hasPrefix("\\"), !trimmed.hasPrefix("\\N") {
            return ClientWords.translated(String(trimmed)) ?? String(trimmed)
        }
        if trimmed.lowercased().hasPrefix("source ") { return ".read " + trimmed.dropFirst(7) }
        // The names in other shells; in a script they would be something else.
        return familiar[word(line)]
    }

    /// A line without its semicolon, in small letters.
    private static func word(_ line: [UInt8]) -> String {
        let trimmed = String(decoding: line.prefix(16), as: UTF8.self).drop { $0.isWhitespace }
        return String(trimmed.reversed().drop { $0.isWhitespace || $0 == ";" }.reversed()).lowercased()
    }

    private static let familiar = [
        "exit": ".quit", "quit": ".quit", "help": ".help", "status": ".use", "edit": ".edit",
        "nopager": ".pager off",
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
            try endTransaction(of: path)
        }
        guard endsScript else { return }
        endsScript = false
        throw ScriptEnded()
    }

    /// What is typed next would become a part of a transaction of which nobody sees the beginning.
    private func endTransaction(of path: String) throws {
        let rollback = try language() == .commandLines ? "DISCARD" : "ROLLBACK"
        connection.transaction = try connection.session().execute(rollback).transaction ?? .none
        Terminal.complain("litebase: \(path) has not ended its transaction, which is rolled back")
    }

    private static func open(_ path: String) throws(InputError) -> PlainLines {
        do throws(Errno) {
            if try Files.status(path)?.kind == .directory { throw Errno.isADirectory }
            return try PlainLines(path: path)
        } catch {
            throw InputError(message: "cannot read \(path): \(error)", status: ExitStatus.noInput)
        }
    }

    /// A script that was read has ended before its end, and has said why.
    struct ScriptEnded: Error {}
}
