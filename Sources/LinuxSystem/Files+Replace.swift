// Files that are replaced atomically.

internal import Glibc

extension Files {
    /// Replaces a file: the old content stays until the new one is on disk (rename(2), fsync(2)).
    ///
    /// - Parameters:
    ///   - path: its directory must exist.
    ///   - content: the whole content.
    ///   - mode: permission bits, whatever the umask is.
    ///   - gid: its group; `nil` leaves the process's.
    /// - Throws: `Errno`; then nothing has changed, except after a failed last step: syncing the directory.
    public static func replace(_ path: String, with content: [UInt8], mode: UInt32, gid: UInt32? = nil) throws(Errno) {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let directory = slash == path.startIndex ? "/" : String(path[..<slash])
        // Hidden, so that readers of the directory do not take it for one of their files.
        let temporary = "\(directory)/.\(path[path.index(after: slash)...]).\(getpid())"
        do throws(Errno) {
            let file = try open(temporary, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
            let number = file.number
            if let gid { _ = try SystemCalls.call(.open) { Int(fchown(number, UInt32.max, gid)) } }
            _ = try SystemCalls.call(.open) { Int(fchmod(number, mode)) }
            var failure: Errno?
            content.withUnsafeBytes {
                do throws(Errno) { try writeAll(file, $0) } catch { failure = error }
            }
            if let failure { throw failure }
            _ = try SystemCalls.call(.write) { Int(fsync(number)) }
            try rename(temporary, to: path)
        } catch {
            Glibc.unlink(temporary)
            throw error
        }
        try sync(directory: directory)
    }

    /// Writes the names in a directory to disk (fsync(2)).
    public static func sync(directory: String) throws(Errno) {
        let file = try open(directory, flags: O_RDONLY | O_DIRECTORY)
        let number = file.number
        _ = try SystemCalls.call(.write) { Int(fsync(number)) }
    }
}
