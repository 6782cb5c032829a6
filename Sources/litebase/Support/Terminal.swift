// Standard output, standard error and the terminal behind them.

internal import ByteBuffers
internal import Glibc
internal import LinuxSystem
import LiteBaseClient
internal import Synchronization

/// When there are colours.
enum ColorWish: String, CaseIterable, Sendable {
    /// On a terminal, unless the environment says otherwise.
    case auto
    case always, never
}

/// What this process writes to and reads from.
enum Terminal {
    static var outputIsTerminal: Bool { Process.isTerminal(STDOUT_FILENO) }
    static var inputIsTerminal: Bool { Process.isTerminal(STDIN_FILENO) }

    private static let wish = Mutex(ColorWish.auto)

    /// Says whether there are colours, for the rest of the process.
    static func setColor(_ choice: ColorWish) { wish.withLock { $0 = choice } }

    /// Whether text may be dimmed.
    static var hasColor: Bool { hasColor(STDOUT_FILENO) }

    private static func hasColor(_ number: Int32) -> Bool {
        switch wish.withLock({ $0 }) {
        case .auto: Process.isTerminal(number) && allowsColor
        case .always: true
        case .never: false
        }
    }

    /// Its columns and lines; `nil` where it does not say, or where the output is no terminal.
    static var size: (width: Int, height: Int)? {
        var size = winsize()
        guard outputIsTerminal, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
        else { return nil }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Whether the locale's encoding is UTF-8, by the variables that setlocale(3) looks at.
    static var hasUnicode: Bool {
        let locale = Process.environment("LC_ALL") ?? Process.environment("LC_CTYPE") ?? Process.environment("LANG")
        let name = (locale ?? "").lowercased()
        return name.hasSuffix("utf-8") || name.hasSuffix("utf8")
    }

    /// Writes a question to standard error, without a line end.
    static func ask(_ question: String) {
        var text = question
        text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
    }

    /// Says something to the person at the terminal, out of the way of results.
    static func tell(_ line: String) {
        var text = line + "\n"
        text.withUTF8 { bytes in
            _ = write(outputIsTerminal ? STDOUT_FILENO : STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }

    /// Writes to the terminal as it is, as a whole.
    static func draw(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = write(STDOUT_FILENO, rest.baseAddress, rest.count)
                if count < 0, Errno.current != .interrupted { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[max(0, count)...])
            }
        }
    }

    private static var errorsHaveColor: Bool { hasColor(STDERR_FILENO) }

    /// By https://no-color.org.
    private static var allowsColor: Bool {
        (Process.environment("NO_COLOR") ?? "").isEmpty && Process.environment("TERM") != "dumb"
    }

    /// Writes one line to standard error; control characters in it are made visible.
    static func complain(_ line: String) {
        var text = TerminalEscaping.visible(line) + "\n"
        let name = "litebase:"
        if text.hasPrefix(name), errorsHaveColor { text = "\u{1B}[31m\(name)\u{1B}[0m" + text.dropFirst(name.count) }
        text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
    }
}

/// Buffered standard output.
///
/// A reader that is gone ends the process by SIGPIPE, quietly, as it ends every filter; commands that run statements find out
/// first what became of the present one (`StatementRunner`).
final class StandardOutput {
    static let flushByteCount = 65536
    var buffer = ByteBuffer()
    /// Where it goes instead of standard output.
    var destination: (any OutputDestination)?

    func print(_ text: String) throws {
        buffer.append(text)
        buffer.append(UInt8(ascii: "\n"))
        try flushIfLarge()
    }

    func flushIfLarge() throws {
        if buffer.count >= Self.flushByteCount { try flush() }
    }

    func flush() throws {
        if let destination {
            defer { buffer.removeAll() }
            return try destination.write(buffer.readable)
        }
        while !buffer.isEmpty {
            let count = Glibc.write(STDOUT_FILENO, buffer.readable.baseAddress, buffer.count)
            if count >= 0 {
                buffer.consume(count)
                continue
            }
            let error = Errno.current
            if error == .interrupted { continue }
            buffer.removeAll()
            throw OutputError(errno: error)
        }
    }

    /// Runs something whose output goes to a place of its own.
    /// - Parameters:
    ///   - destination: the place.
    ///   - body: writes.
    ///   - leave: what to do when it cannot be written.
    /// - Throws: the error of `body`, or of `leave`.
    func run(
        to destination: any OutputDestination, _ body: () throws -> Void, leave: (OutputError) throws -> Void
    ) throws {
        self.destination = destination
        defer { self.destination = nil }
        do {
            try body()
            try endResult()
        } catch let error as OutputError {
            try leave(error)
        } catch {
            // Before the error is shown.
            try? endResult()
            throw error
        }
    }

    /// Writes what is left of a result, and leaves the place that was for it alone.
    func endResult() throws {
        try flush()
        try destination?.endResult()
    }
}

/// A place for output that is not standard output: a pager, a file.
protocol OutputDestination: AnyObject {
    /// - Throws: `OutputError`.
    func write(_ bytes: UnsafeRawBufferPointer) throws
    /// A result is complete. Returns when somebody has looked at it, where that is what the place is for.
    func endResult() throws
}

/// Standard output cannot be written, for example because the disk is full.
struct OutputError: Error {
    let errno: Errno
    /// What the statement did whose rows could not be written, if it was run to its end.
    var summary: StatementSummary?
}

/// Ctrl-C, where it ends the program.
struct InterruptedError: Error {}

/// Ends as a signal would that was not caught, so that who started the program sees it.
enum Signals {
    static func die(of number: Int32) -> Never {
        signal(number, SIG_DFL)
        raise(number)
        Process.exit(128 + number)
    }
}
