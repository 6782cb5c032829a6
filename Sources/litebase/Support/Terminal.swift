// Standard output, standard error and the terminal behind them.

internal import ByteBuffers
internal import Glibc
internal import LinuxSystem

/// What this process writes to and reads from.
enum Terminal {
    static var outputIsTerminal: Bool { Process.isTerminal(STDOUT_FILENO) }
    static var inputIsTerminal: Bool { Process.isTerminal(STDIN_FILENO) }

    /// Whether text may be dimmed (https://no-color.org).
    static var hasColor: Bool {
        outputIsTerminal && Process.environment("NO_COLOR") == nil && Process.environment("TERM") != "dumb"
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

    /// Writes one line to standard error; control characters in it are made visible.
    static func complain(_ line: String) {
        var text = TerminalEscaping.visible(line) + "\n"
        text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
    }
}

/// Buffered standard output.
///
/// A reader that is gone ends the process by SIGPIPE, quietly, as it ends every filter.
final class StandardOutput {
    static let flushByteCount = 65536
    var buffer = ByteBuffer()

    func print(_ text: String) throws {
        buffer.append(text)
        buffer.append(UInt8(ascii: "\n"))
        try flushIfLarge()
    }

    func flushIfLarge() throws {
        if buffer.count >= Self.flushByteCount { try flush() }
    }

    func flush() throws {
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
}

/// Standard output cannot be written, for example because the disk is full.
struct OutputError: Error {
    let errno: Errno
}
