// Reads a password from the terminal or a pipe: never from the command line, which everybody can read.

internal import Glibc
internal import LinuxSystem

enum PasswordPrompt {
    private static let byteCountMax = 4096

    /// Asks for a password on the terminal, without showing it; reads it from standard input if that is not a terminal.
    /// - Throws: `InputError` for one that cannot be used.
    static func read(_ question: String) throws(InputError) -> [UInt8] {
        let line = Terminal.inputIsTerminal ? try ask(question) : try readAll()
        guard !line.isEmpty else { throw InputError(message: "the password is empty") }
        guard line.count <= byteCountMax else {
            throw InputError(message: "the password is longer than \(byteCountMax) bytes")
        }
        guard !line.contains(where: { $0 == 0 || $0 == 0x0a }) else {
            throw InputError(message: "the password has more than one line")
        }
        guard String(validating: line, as: UTF8.self) != nil else {
            throw InputError(message: "the password is not UTF-8")
        }
        return line
    }

    private static func readAll() throws(InputError) -> [UInt8] {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        // A line end may follow, and one byte says that it is too long.
        while text.count < byteCountMax + 3, Glibc.read(STDIN_FILENO, &byte, 1) == 1 { text.append(byte) }
        if text.last == 0x0a { text.removeLast() }
        if text.last == 0x0d { text.removeLast() }
        return text
    }

    private static func ask(_ question: String) throws(InputError) -> [UInt8] {
        var usual = termios()
        guard tcgetattr(STDIN_FILENO, &usual) == 0 else {
            throw InputError(message: "the terminal cannot be asked: \(Errno.current)")
        }
        // Ctrl-C must not leave a terminal that shows nothing.
        _ = Interrupts.install([SIGINT, SIGTERM, SIGHUP])
        var silent = usual
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        Terminal.ask(question)
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while !Interrupts.isRaised, Glibc.read(STDIN_FILENO, &byte, 1) == 1, byte != 0x0a {
            if line.count <= byteCountMax { line.append(byte) }
        }
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual)
        Terminal.ask("\n")
        if Interrupts.isRaised { Process.exit(ExitStatus.interrupted) }
        return line
    }
}
