// Standard output and standard error.

internal import Glibc

/// Writes to the standard streams, unbuffered.
///
/// - Thread: any.
public enum StandardStreams {
    /// Opens something for each of the descriptors 0 to 2 that the process was started without (`>&-`).
    ///
    /// Otherwise the next socket or file would get that number, and output would be written into it, or input read from
    /// it. Its use fails with EBADF, like that of a closed descriptor, so nothing is lost silently.
    /// - Thread: only before anything else is opened.
    public static func occupyClosed() {
        for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(number, F_GETFD) == -1 {
            // The lowest free number is this one (open(2)).
            _ = open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    /// What standard error leads to.
    public enum Kind: Sendable { case terminal, pipe, other }

    public static var errorKind: Kind {
        if isatty(STDERR_FILENO) == 1 { return .terminal }
        var info = stat()
        guard fstat(STDERR_FILENO, &info) == 0 else { return .other }
        let type = info.st_mode & S_IFMT
        return type == S_IFIFO || type == S_IFSOCK ? .pipe : .other
    }

    /// Writes a line with one write(2), so that lines of threads and processes do not mix (pipe(7): up to 4,096 bytes).
    ///
    /// What cannot be written is dropped: there is nowhere to report it.
    public static func writeError(_ line: [UInt8]) {
        _ = try? SystemCalls.call(.write) {
            line.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
        }
    }

    /// Writes all of `text` to standard output.
    public static func writeOutput(_ text: String) throws(Errno) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let run = rest
            let count = try SystemCalls.call(.write) {
                run.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            }
            rest = rest.dropFirst(count)
        }
    }
}
