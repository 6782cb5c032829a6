// Lines for the shell: edited on a terminal, plain from a pipe or a file.

internal import CEditLine
internal import Glibc
internal import LinuxSystem
import LiteBaseClient
import SQLText
internal import Synchronization

/// What Tab calls: libedit has one editor a process.
private let completer = Mutex<(@Sendable (_ line: [UInt8], _ cursor: Int) -> Completion)?>(nil)
/// What draws the line that is edited.
private let drawer = Mutex(LineDrawer())

/// What reading a line came to.
enum LineOutcome: Equatable {
    /// Bytes without the line's end.
    case line([UInt8])
    case endOfInput
    /// Ctrl-C.
    case interrupted
}

/// A source of lines.
protocol LineReader: AnyObject {
    /// The next line, which is shown in `colours` where it is shown in some.
    func read(prompt: String, _ colours: LineColours?) throws -> LineOutcome
    /// Keeps what was typed: the lines of one statement, or one command.
    func remember(_ lines: [[UInt8]])
}

extension LineReader {
    func read(prompt: String) throws -> LineOutcome { try read(prompt: prompt, nil) }
    func remember(_ lines: [[UInt8]]) {}
}

/// Lines edited by libedit, with history that is kept in a file.
final class EditedLines: LineReader {
    static let historyCountMax = 2000
    private let history: HistoryFile
    private let hasColor: Bool

    /// `nil` when libedit is not installed.
    init?(interruptDescriptor: Int32, hasColor: Bool) {
        guard ceditline_open("litebase", Int32(Self.historyCountMax), interruptDescriptor) else { return nil }
        self.hasColor = hasColor
        _ = ceditline_set_drawer { moment, prompt, text, length, cursor in
            let line = UnsafeBufferPointer(start: text, count: length).map {
                Unicode.Scalar(UInt32(bitPattern: $0)) ?? "\u{FFFD}"
            }
            drawer.withLock { $0.draw(moment, prompt: prompt.map { String(cString: $0) } ?? "", line, cursor: cursor) }
        }
        history = HistoryFile()
        for entry in history.load(countMax: Self.historyCountMax) { ceditline_add_history(entry) }
    }

    deinit {
        ceditline_close()
    }

    /// Has Tab propose what a function finds for a line and the place of the cursor in it, in bytes.
    func setCompleter(_ complete: @escaping @Sendable (_ line: [UInt8], _ cursor: Int) -> Completion) {
        completer.withLock { $0 = complete }
        ceditline_set_completer { text, cursor, length in
            guard let text, let complete = completer.withLock({ $0 }) else { return ceditline_proposal() }
            let line = Array(UnsafeRawBufferPointer(start: text, count: length))
            return EditedLines.proposal(complete(line, cursor))
        }
    }

    /// The only candidate, or what they have in common, or else a list of them.
    private static func proposal(_ completion: Completion) -> ceditline_proposal {
        var proposal = ceditline_proposal()
        let found = completion.candidates
        let common = completion.common
        if found.count == 1 || (common.count > completion.word.count && common.hasPrefixWithoutCase(completion.word)) {
            proposal.removed_count = completion.word.unicodeScalars.count
            proposal.removed_behind_count = completion.behind.unicodeScalars.count
            proposal.inserted = strdup(found.count == 1 ? found[0] + completion.suffix : common)
        } else if !found.isEmpty {
            let labels = completion.labels.map(TerminalEscaping.visible)
            proposal.list = strdup(list(labels, width: Terminal.size?.width ?? 80))
        }
        return proposal
    }

    private static let listCountMax = 200

    /// In as many columns as fit.
    private static func list(_ all: [String], width: Int) -> String {
        let shown = all.prefix(listCountMax)
        let cellWidth = (shown.map(DisplayWidth.of).max() ?? 0) + 2
        let count = max(1, width / cellWidth)
        var text = ""
        for (index, name) in shown.enumerated() {
            let isLast = (index + 1) % count == 0 || index + 1 == shown.count
            text += name + (isLast ? "\n" : String(repeating: " ", count: cellWidth - DisplayWidth.of(name)))
        }
        return all.count > shown.count ? text + "… and \(all.count - shown.count) more\n" : text
    }

    func read(prompt: String, _ colours: LineColours?) -> LineOutcome {
        drawer.withLock { $0.colours = hasColor ? colours : nil }
        // A copy of what was typed so far, which would have to be made anew with the next line.
        defer { drawer.withLock { $0.colours = nil } }
        var text: UnsafePointer<CChar>?
        var length = 0
        switch prompt.withCString({ ceditline_read($0, &text, &length) }) {
        case CEDITLINE_LINE:
            guard let text else { return .endOfInput }
            var bytes = Array(UnsafeRawBufferPointer(start: text, count: length))
            if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
            return .line(bytes)
        case CEDITLINE_INTERRUPTED:
            return .interrupted
        default:
            return .endOfInput
        }
    }

    /// A statement is one entry, as it was typed, line by line. What may hold a password, or starts with a space, is not kept, as
    /// in other shells.
    func remember(_ lines: [[UInt8]]) {
        let whole = lines.joined(separator: [UInt8(ascii: "\n")])
        guard let entry = String(validating: whole, as: UTF8.self), entry.contains(where: { !$0.isWhitespace }),
            !entry.hasPrefix(" "), !StatementShape.mayHoldPassword(entry)
        else { return }
        ceditline_add_history(entry)
        history.append(entry)
    }
}

/// Draws the line that is edited, when libedit says so.
private struct LineDrawer {
    var colours: LineColours?
    private var screen = LineScreen()

    mutating func draw(_ moment: ceditline_moment, prompt: String, _ line: [Unicode.Scalar], cursor: Int) {
        let size = Terminal.size ?? (width: 80, height: 24)
        let colours = colours
        func frame(isEntered: Bool = false) -> LineFrame {
            let styles = colours?.styles(line, cursor: cursor, isEntered: isEntered) ?? []
            return LineFrame(prompt: prompt, line, styles: styles, cursor: cursor, width: size.width)
        }
        let text: String
        switch moment {
        case CEDITLINE_END:
            let whole = frame(isEntered: true)
            text = screen.show(whole, height: size.height) + screen.end()
        case CEDITLINE_LEAVE: text = screen.leave(height: size.height)
        case CEDITLINE_CLEAR: text = screen.clear()
        case CEDITLINE_RESIZE:
            let former = frame()
            text = screen.resize(former, height: size.height)
        case CEDITLINE_RESUME: text = screen.resume()
        default:
            let present = frame()
            text = screen.show(present, height: size.height)
        }
        Terminal.draw(text)
    }
}

/// Lines as they come.
final class PlainLines: LineReader {
    private let number: Int32
    /// Where prompts are written; `nil` for none.
    private let promptNumber: Int32?
    private var pending: [UInt8] = []
    private var offset = 0
    /// Up to there `pending` has no line end behind `offset`: a line may be very long.
    private var searchedCount = 0
    private var isAtEnd = false
    private var hasBegun = false
    private let file: OpenFile?

    private final class OpenFile {
        let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    /// Reads stdin.
    init(showsPrompt: Bool) {
        number = STDIN_FILENO
        file = nil
        promptNumber = showsPrompt ? (Terminal.outputIsTerminal ? STDOUT_FILENO : STDERR_FILENO) : nil
    }

    /// Reads a file.
    init(path: String) throws(Errno) {
        let file = OpenFile(try Files.open(path, flags: O_RDONLY))
        number = file.descriptor.number
        self.file = file
        promptNumber = nil
    }

    /// Whether more was read than what was taken.
    var hasRest: Bool { pending[offset...].contains { $0 > 0x20 } }

    /// What of the file will be refused.
    func refusal(_ splitter: StatementSplitter, _ session: BlockingSession) -> ScriptCheck.Refusal? {
        ScriptCheck.refusal(in: number, splitter.language, splitter.rules, session)
    }

    func read(prompt: String, _ colours: LineColours?) throws -> LineOutcome {
        if let promptNumber { _ = Glibc.write(promptNumber, prompt, prompt.utf8.count) }
        while true {
            if let end = pending[max(offset, searchedCount)...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(pending[offset..<end])
                offset = end + 1
                return .line(line)
            }
            pending.removeFirst(offset)
            offset = 0
            searchedCount = pending.count
            if isAtEnd {
                if pending.isEmpty { return .endOfInput }
                defer { (pending, searchedCount) = ([], 0) }
                return .line(pending)
            }
            if let outcome = try fill() { return outcome }
        }
    }

    private func fill() throws -> LineOutcome? {
        var result = 0
        let chunk = [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
            result = Glibc.read(number, buffer.baseAddress, buffer.count)
            count = max(0, result)
        }
        if result < 0 {
            if Errno.current == .interrupted { return Interrupts.isRaised ? .interrupted : nil }
            throw InputError(message: "cannot read the input: \(Errno.current)", status: ExitStatus.noInput)
        }
        pending += hasBegun ? chunk[...] : ByteOrderMark.dropped(chunk[...])
        hasBegun = true
        isAtEnd = result == 0
        return nil
    }
}

/// Input of earlier shells: `$XDG_STATE_HOME/litebase/history`, one entry a line, readable by its owner only. Line ends
/// within an entry are stored as U+0001, as psql does.
///
/// Each entry is appended when it is typed, so that parallel shells do not overwrite each other's. Failures are not
/// reported: a history that cannot be written must not disturb.
struct HistoryFile {
    /// A longer file is cut to the newest entries when it is loaded.
    static let byteCountMax = 4 << 20

    private static let storedLineEnd = UInt8(1)

    let path: String?

    init(path: String? = HistoryFile.standardPath) {
        self.path = path
    }

    static var standardPath: String? {
        let state = Process.environment("XDG_STATE_HOME") ?? Process.homeDirectory.map { $0 + "/.local/state" }
        return state.map { $0 + "/litebase/history" }
    }

    /// The newest entries, oldest first.
    func load(countMax: Int) -> [String] {
        guard let path, let bytes = try? Files.read(path, byteCountMax: 2 * Self.byteCountMax) else { return [] }
        let lines = bytes.split(separator: UInt8(ascii: "\n")).suffix(countMax)
        if bytes.count > Self.byteCountMax { replace(path, with: lines) }
        return lines.compactMap { line in
            String(validating: line.map { $0 == Self.storedLineEnd ? UInt8(ascii: "\n") : $0 }, as: UTF8.self)
        }
    }

    func append(_ entry: String) {
        guard let path, let slash = path.lastIndex(of: "/") else { return }
        try? Files.makeDirectories(String(path[..<slash]))
        guard let file = try? Files.open(path, flags: O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, mode: 0o600) else {
            return
        }
        let bytes = entry.utf8.map { $0 == UInt8(ascii: "\n") ? Self.storedLineEnd : $0 }
        Self.write(bytes + [UInt8(ascii: "\n")], to: file)
    }

    private func replace(_ path: String, with lines: some Sequence<ArraySlice<UInt8>>) {
        let content = Array(lines.joined(separator: [UInt8(ascii: "\n")])) + [UInt8(ascii: "\n")]
        try? Files.replace(path, with: content, mode: 0o600)
    }

    private static func write(_ bytes: [UInt8], to file: borrowing OwnedDescriptor) {
        bytes.withUnsafeBytes { try? Files.writeAll(file, $0) }
    }
}

extension String {
    fileprivate func hasPrefixWithoutCase(_ prefix: String) -> Bool { lowercased().hasPrefix(prefix.lowercased()) }
}
