// A file that appears under its name when it is whole.

internal import Glibc
internal import LinuxSystem

/// A file that is being written beside its final place.
struct NewFile {
    /// Where symbolic links lead, so that they stay.
    let path: String
    let partialPath: String
    let descriptor: Int32
    static let partialEnding = ".partial"
    private let mayReplace: Bool
    /// What SQLite takes for a part of the database that it lies beside: of the file in whose place it comes, these have to go.
    private let companions: [String]
    /// The group and permissions of the file in whose place it comes: who may read that may read this.
    private let former: (group: gid_t, mode: mode_t)?

    /// Makes it, readable by its owner only unless a file is there that others may read.
    /// - Parameters:
    ///   - path: where it will be.
    ///   - mayReplace: whether a file may be there already.
    ///   - isDatabase: whether it is a database of SQLite.
    /// - Throws: `InputError` if it may not, if something else than a file is there, or if the file cannot be made.
    init(_ path: String, mayReplace: Bool, isDatabase: Bool = false) throws(InputError) {
        try ImportText.requireUTF8(path)
        self.mayReplace = mayReplace
        var status = stat()
        let isThere = lstat(path, &status) == 0
        if isThere, !mayReplace {
            throw InputError(message: "\(path) exists; --force replaces it", status: ExitStatus.usage)
        }
        if isThere {
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                throw InputError(message: "\(path) is no file that could be replaced", status: ExitStatus.usage)
            }
            // Somebody else's file says nothing of who may read what is the user's.
            former = status.st_uid == geteuid() ? (status.st_gid, status.st_mode & 0o777) : nil
            self.path = (try? Files.resolved(path)) ?? path
        } else {
            former = nil
            self.path = path
        }
        companions = isDatabase ? SQLiteCompanions.of(self.path) : []
        if isThere, isDatabase { try SQLiteCompanions.refuseUsed(self.path) }
        if let first = companions.first, !mayReplace {
            throw InputError(
                message:
                    "\(first) is there, and SQLite would take it for a part of the new file; remove it, or write elsewhere",
                status: ExitStatus.usage)
        }
        partialPath = self.path + Self.partialEnding
        descriptor = try Self.makePartial(partialPath)
    }

    /// Gives it its name; then it is on the disk. Where it cannot have it, it is removed.
    func keep() throws(InputError) {
        if let former {
            let isOfGroup = fchown(descriptor, uid_t.max, former.group) == 0
            _ = fchmod(descriptor, isOfGroup ? former.mode : former.mode & 0o700)
        }
        do throws(Errno) {
            try place()
        } catch {
            drop()
            if error == .fileExists, !mayReplace {
                throw InputError(message: "\(path) was made meanwhile; --force replaces it", status: ExitStatus.usage)
            }
            throw InputError(message: "\(path): \(error)", status: ExitStatus.ioError)
        }
        close(descriptor)
        let directory = Glibc.open(Self.directory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    /// What has come to that name meanwhile stays, unless it may be replaced.
    private func place() throws(Errno) {
        guard fsync(descriptor) == 0 else { throw .current }
        for companion in companions {
            guard unlink(companion) == 0 || Errno.current == .noSuchFile else { throw .current }
        }
        guard mayReplace else { return try Files.rename(partialPath, toNew: path) }
        guard rename(partialPath, path) == 0 else { throw .current }
    }

    /// Removes it.
    func drop() {
        unlink(partialPath)
        close(descriptor)
    }

    /// Opens what a path leads to if that is a device, a pipe or a terminal: it is written into, and nothing comes in its place.
    /// - Parameters:
    ///   - path: where it is.
    ///   - mayBeOthers: whether a pipe of another user will do, who would read what is written: fifo(7).
    /// - Returns: a descriptor that the caller closes; `nil` if it is a file or a directory, or not there.
    /// - Throws: `InputError` if it cannot be opened.
    static func openSpecial(_ path: String, mayBeOthers: Bool) throws(InputError) -> Int32? {
        var status = stat()
        guard stat(path, &status) == 0, isSpecial(status) else { return nil }
        let descriptor = Glibc.open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { throw failure(path) }
        // What is open is what counts: another thing may have come to this path.
        guard fstat(descriptor, &status) == 0, isSpecial(status) else {
            close(descriptor)
            throw InputError(message: "\(path) was replaced meanwhile", status: ExitStatus.ioError)
        }
        if status.st_mode & S_IFMT == S_IFIFO, status.st_uid != geteuid(), status.st_uid != 0, !mayBeOthers {
            close(descriptor)
            throw InputError(
                message: "\(path) is a pipe of the user with the number \(status.st_uid); --force writes into it",
                status: ExitStatus.usage)
        }
        return descriptor
    }

    private static func isSpecial(_ status: stat) -> Bool { ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Removes what an interrupted run has left; what is somebody else's, or may be being written, is not touched.
    /// - Parameter partialPath: where it is, if it is there.
    static func removeLeft(_ partialPath: String) {
        let descriptor = Glibc.open(partialPath, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        if obstacle(descriptor, partialPath, needsLock: true) == nil { unlink(partialPath) }
    }

    /// Locks a file that is open.
    /// - Parameters:
    ///   - descriptor: of the file.
    ///   - path: where it was opened.
    ///   - needsLock: whether it is left alone where the file system has no locks.
    /// - Returns: why it is not to be touched; `nil` if it is the user's, and nobody writes it.
    private static func obstacle(_ descriptor: Int32, _ path: String, needsLock: Bool) -> String? {
        var (own, there) = (stat(), stat())
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0, needsLock || Errno.current == .wouldBlock {
            return "is being written by another litebase"
        }
        guard lstat(path, &there) == 0, fstat(descriptor, &own) == 0, own.st_ino == there.st_ino,
            own.st_dev == there.st_dev
        else { return "is being written by another litebase" }
        let isOwn = own.st_mode & S_IFMT == S_IFREG && own.st_nlink == 1 && own.st_uid == geteuid()
        return isOwn ? nil : "is there, and is no file of yours; remove it, or write elsewhere"
    }

    /// What an interrupted run has left is taken again; what is somebody else's, or being written, is not touched.
    private static func makePartial(_ path: String) throws(InputError) -> Int32 {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        // Not every file system has locks.
        if let problem = obstacle(descriptor, path, needsLock: false) {
            close(descriptor)
            throw InputError(message: "\(path) \(problem)", status: ExitStatus.ioError)
        }
        guard fchmod(descriptor, 0o600) == 0, ftruncate(descriptor, 0) == 0 else {
            defer { close(descriptor) }
            throw failure(path)
        }
        return descriptor
    }

    private static func failure(_ path: String) -> InputError {
        let error = Errno.current
        return InputError(message: "\(path): \(error)", status: ExitStatus.ioError)
    }
}
