// The terminal as a screen: the alternate buffer, its size, and single keys.

internal import ByteBuffers
internal import Glibc
internal import LinuxSystem

/// A terminal that shows one page after the other. What was there before comes back when it is closed.
///
/// - Source: console_codes(4), termios(3); the alternate buffer is xterm's private mode 1049
struct Screen: ~Copyable {
    private let output = StandardOutput()
    private var former = termios()

    /// Takes the terminal over.
    /// - Throws: `OutputError` when it cannot be written.
    init() throws {
        tcgetattr(STDIN_FILENO, &former)
        var raw = former
        // Keys one by one and unseen; Ctrl-C remains a signal, Ctrl-Z would leave the terminal in this state.
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        withUnsafeMutableBytes(of: &raw.c_cc) { keys in
            keys[Int(VMIN)] = 0
            keys[Int(VTIME)] = 0
            keys[Int(VSUSP)] = 0
        }
        tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        // A handler, even an empty one, makes a change of size end poll(2).
        signal(SIGWINCH) { _ in }
        output.buffer.append("\u{1b}[?1049h\u{1b}[?25l")
        try output.flush()
    }

    deinit {
        var former = former
        output.buffer.append("\u{1b}[?25h\u{1b}[?1049l")
        try? output.flush()
        tcsetattr(STDIN_FILENO, TCSANOW, &former)
    }

    /// Columns and lines; 80 by 24 where the terminal does not say.
    static var size: (width: Int, height: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Shows lines from the top, one of them inverted; they must fit and hold no control characters.
    func show(_ lines: [String], highlighted: Int?) throws {
        output.buffer.append("\u{1b}[H")
        for (index, line) in lines.enumerated() {
            if index > 0 { output.buffer.append("\n") }
            if index == highlighted { output.buffer.append("\u{1b}[7m") }
            output.buffer.append(line)
            output.buffer.append("\u{1b}[0m\u{1b}[K")
        }
        output.buffer.append("\u{1b}[J")
        try output.flush()
    }

    /// Waits for a key.
    /// - Returns: `nil` after that time, or when a signal came: the size may have changed, or it is time to leave.
    func key(within milliseconds: Int32) -> UInt8? {
        var entry = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, milliseconds) > 0 else { return nil }
        var byte: UInt8 = 0
        // The end of the input means leaving: nobody can press keys.
        return read(STDIN_FILENO, &byte, 1) == 1 ? byte : UInt8(ascii: "q")
    }
}
