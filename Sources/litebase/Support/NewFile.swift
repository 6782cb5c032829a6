// A file that appears under its name when it is whole.

internal import Glibc
internal import LinuxSystem

/// A file that is being written beside its final place.
struct NewFile {
    let path: String
    let partialPath: String
    let descriptor: Int32

    /// Makes it, readable by its owner only.
    /// - Parameters:
    ///   - path: where it will be.
    ///   - mayReplace: whether a file may be there already.
    /// - Throws: `InputError` if it may not, or if the file cannot be made.
    init(_ path: String, mayReplace: Bool) throws(InputError) {
        var status = stat()
        if !mayReplace, lstat(path, &status) == 0 {
            throw InputError(message: "\(path) exists; --force replaces it", status: ExitStatus.usage)
        }
        self.path = path
        partialPath = "\(path).partial"
        descriptor = Glibc.open(partialPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Self.failure(partialPath) }
    }

    /// Gives it its name; then it is on the disk.
    func keep() throws(InputError) {
        guard fsync(descriptor) == 0, rename(partialPath, path) == 0 else { throw Self.failure(path) }
        close(descriptor)
        let directory = Glibc.open(Self.directory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    /// Removes it.
    func drop() {
        unlink(partialPath)
        close(descriptor)
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func failure(_ path: String) -> InputError {
        let error = Errno.current
        return InputError(message: "\(path): \(error)", status: ExitStatus.ioError)
    }
}
