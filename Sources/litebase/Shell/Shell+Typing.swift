// What somebody does at a terminal besides typing statements: edit them, run them again, give their parameters.

internal import Glibc
internal import LinuxSystem
import LiteBaseClient
import SQLText

/// Lines of a text that was edited elsewhere.
final class TextLines: LineReader {
    private var lines: [[UInt8]]
    private let history: (any LineReader)?

    init(_ text: String, history: (any LineReader)?) {
        lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
            .reversed()
        if lines.first?.isEmpty ?? false { lines.removeFirst() }
        self.history = history
    }

    func read(prompt: String, _ colours: LineColours?) -> LineOutcome {
        lines.popLast().map(LineOutcome.line) ?? .endOfInput
    }

    func remember(_ lines: [[UInt8]]) { history?.remember(lines) }
}

extension Shell {
    // Parameters

    /// A statement with the values of its placeholders. At a terminal those are asked for that were not set.
    func bound(_ text: String) throws -> (sql: String, parameters: Parameters) {
        let isTyped = isInteractive && place == nil
        guard isTyped || !settings.parameters.isEmpty, !RowStatement.isDefinition(text),
            let found = Placeholders(text, try language(), rules)
        else { return (text, .none) }
        return try found.bound { name in
            if let value = settings.parameters[name] { return value }
            guard isTyped, let lines = typedLines else {
                throw UsageError("\(name) has no value; .parameter set \(name) VALUE gives it one")
            }
            return try ask(name, lines)
        }
    }

    private func ask(_ name: String, _ lines: any LineReader) throws -> Value {
        switch try lines.read(prompt: "value of \(TerminalEscaping.visible(name)): ") {
        case .line(let line): return ParameterParsing.value(String(decoding: line, as: UTF8.self))
        case .interrupted:
            Interrupts.clear()
            tell(lines is EditedLines ? "^C" : "")
        case .endOfInput: tell("")
        }
        throw UsageError("\(name) has no value, and the statement was not run")
    }

    /// `.parameter set NAME VALUE`, `unset NAME`, `clear`, `list`.
    func setParameter(_ argument: String) throws {
        let words = argument.split(maxSplits: 2, whereSeparator: \.isWhitespace).map(String.init)
        switch (words.first, words.count) {
        case ("set", 3): settings.parameters.set(words[1], ParameterParsing.value(words[2]))
        case ("set", 2), ("unset", 2): settings.parameters.set(words[1], nil)
        case ("clear", 1): settings.parameters.removeAll()
        case (nil, _), ("list", 1), ("set", 1):
            let values = settings.parameters.values.sorted { $0.key < $1.key }
            try show(["name", "value"], values.map { [.text($0.key), $0.value] })
        default:
            throw UsageError(".parameter takes: set NAME VALUE, unset NAME, clear, or list")
        }
    }

    // The statement before

    /// Runs it once more.
    func runAgain(isExpanded: Bool) throws {
        guard let sql = lastStatement else { throw UsageError("there is no statement before") }
        ending = isExpanded ? TypedLine.Ending(isExpanded: true) : nil
        var splitter = StatementSplitter(try language(), rules)
        try run(StatementSplitter.Statement(bytes: Array(sql.utf8), line: 1), &splitter, nil)
    }

    /// Runs it again and again, until Ctrl-C.
    func watch(_ argument: String) throws {
        let seconds = argument.isEmpty ? 2 : Double(argument) ?? 0
        guard seconds > 0, seconds <= 86400 else { throw UsageError(".watch takes a number of seconds") }
        guard let sql = lastStatement else { throw UsageError("there is no statement to watch") }
        if isTransactionGone {
            throw UsageError("the transaction is rolled back, and nothing is run; ROLLBACK ends it")
        }
        hadTransaction = connection.transaction != .none
        let (text, parameters) = try bound(sql)
        let hadPager = settings.hasPager
        settings.hasPager = false
        defer { settings.hasPager = hadPager }
        while true {
            try output.print("Every \(argument.isEmpty ? "2" : argument) s, Ctrl-C ends it:")
            try run(sql: text, parameters)
            Interrupts.sleep(milliseconds: Int32(min(seconds * 1000, 86_400_000)))
            if Interrupts.isRaised { break }
        }
        Interrupts.clear()
        // The terminal shows ^C by itself while no line is edited.
        tell("")
    }

    /// Opens a text in an editor, and takes what comes back as if it was typed.
    /// - Parameter text: the statement before, where `nil`.
    /// - Throws: `UsageError` if there is no terminal or no editor.
    func edit(_ text: String?) throws {
        guard isInteractive else { throw UsageError(".edit needs a terminal") }
        let former = text ?? lastStatement.map { $0 + ";\n" } ?? ""
        let edited = try Editor.edited(former)
        Interrupts.clear()
        guard edited != former || text != nil, edited.contains(where: { !$0.isWhitespace }) else {
            return tell("The text was not changed, and nothing is run.")
        }
        tell(TerminalEscaping.visibleLines(edited))
        // If it lacks its end, it can be edited further, or run by \g.
        lastStatement = String(edited.reversed().drop { $0.isWhitespace || $0 == ";" }.reversed())
        try process(TextLines(edited, history: typedLines), script: nil)
    }
}

/// `$VISUAL`, `$EDITOR`, or the system's.
enum Editor {
    private static let command =
        "exec ${VISUAL:-${EDITOR:-$(command -v sensible-editor || command -v editor || echo vi)}} \"$0\""
    private static let byteCountMax = 4 << 20

    /// - Returns: what the file has when the editor has ended.
    /// - Throws: `UsageError` if it has failed.
    static func edited(_ text: String) throws -> String {
        let directory = Process.environment("TMPDIR") ?? "/tmp"
        var template = Array("\(directory)/litebase-XXXXXX.sql".utf8CString)
        let number = mkstemps(&template, 4)
        if number < 0 { throw UsageError("cannot make a file in \(directory): \(Errno.current)") }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        do throws(Errno) {
            let file = OwnedDescriptor(number)
            try write(Array(text.utf8), to: file)
            let status = try run(path)
            if status != 0 { throw Errno.interrupted }
            return String(decoding: try Files.read(path, byteCountMax: byteCountMax), as: UTF8.self)
        } catch {
            throw UsageError("the editor has failed; $EDITOR names another one")
        }
    }

    private static func write(_ bytes: [UInt8], to file: borrowing OwnedDescriptor) throws(Errno) {
        var failure: Errno?
        bytes.withUnsafeBytes { bytes in
            do throws(Errno) {
                try Files.writeAll(file, bytes)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    private static func run(_ path: String) throws(Errno) -> Int32 {
        var words: [UnsafeMutablePointer<CChar>?] = ["sh", "-c", command, path].map { (word: String) in strdup(word) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let failure = posix_spawn(&process, "/bin/sh", nil, nil, words, environ)
        if failure != 0 { throw Errno(failure) }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, Errno.current == .interrupted {}
        return status
    }
}
