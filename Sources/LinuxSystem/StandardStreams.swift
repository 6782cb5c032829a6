// Standard output and standard error, which nobody owns.

internal import Glibc

/// Writes to the standard streams, unbuffered.
///
/// - Thread: any.
public enum StandardStreams {
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
    /// What cannot be written is dropped: nobody is left to be told.
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
