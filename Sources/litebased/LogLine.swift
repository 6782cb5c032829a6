// The form of a record as a line of text.

internal import Glibc
internal import LinuxSystem

/// Formats lines. Pure.
enum LogLine {
    /// Longest message; with its prefix a line stays below PIPE_BUF, so that it is written as a whole (pipe(7)).
    static let messageByteCountMax = 3_900

    /// The message on one line: a client's text can neither forge a line nor control a terminal.
    static func escaped(_ message: String) -> String { LogText.escaped(message, byteCountMax: messageByteCountMax) }

    /// `<6>message`, for a service manager that reads the pipe.
    static func prefixed(_ level: LogLevel, _ message: String) -> [UInt8] {
        Array("<\(level.rawValue)>\(message)\n".utf8)
    }

    /// `2025-01-31T12:00:00.000Z info    message`
    static func readable(_ level: LogLevel, _ message: String, at nanoseconds: Int64, colored: Bool) -> [UInt8] {
        let name = level.name + String(repeating: " ", count: max(0, 7 - level.name.utf8.count))
        let head = colored ? "\u{1b}[2m\(time(nanoseconds))\u{1b}[0m \(color(level))\(name)\u{1b}[0m" : nil
        return Array("\(head ?? "\(time(nanoseconds)) \(name)") \(message)\n".utf8)
    }

    private static func color(_ level: LogLevel) -> String {
        switch level {
        case .error: "\u{1b}[1;31m"
        case .warning: "\u{1b}[1;33m"
        case .notice: "\u{1b}[1m"
        case .info: "\u{1b}[32m"
        case .debug: "\u{1b}[2m"
        }
    }

    private static func time(_ nanoseconds: Int64) -> String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let date = "\(parts.tm_year + 1900)-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
        let clock = "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))"
        return "\(date)T\(clock).\(padded(Int32(nanoseconds / 1_000_000 % 1000), 3))Z"
    }

    private static func padded(_ number: Int32, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
