// A line on standard error that is written over again and again; nothing where that is no terminal.

internal import Glibc
internal import LinuxSystem

/// The line of progress.
enum LiveLine {
    /// Whether there is a terminal for it.
    static let isShown = Process.isTerminal(STDERR_FILENO) && Process.environment("TERM") != "dumb"

    /// Replaces the line. Control characters in it are made visible; it is cut at 79 columns.
    static func show(_ text: String) {
        guard isShown else { return }
        // Carriage return, then erase to the end of the line (console_codes(4)).
        write("\r" + DisplayWidth.prefix(TerminalEscaping.visible(text), width: 79) + "\u{1b}[K")
    }

    static func clear() {
        if isShown { write("\r\u{1b}[K") }
    }

    private static func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in _ = Glibc.write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
    }
}
