// The Unix socket of a daemon that systemd did not start: how its path is claimed, bound and released.

internal import Glibc
internal import LinuxSystem

/// A socket file that this process has made, with its lock.
///
/// The lock file `PATH.lock` decides who serves a path: it is held as long as the process lives, however it ends, so a
/// socket file whose lock is free is stale. It contains the owner's pid, for messages only. In a directory where others
/// may create files, such as `/tmp`, anybody could take that name and keep the daemon from starting: then the lock is
/// in a directory of the user's own.
struct StandaloneSocket: ~Copyable {
    let path: String
    private let lockPath: String
    private let lock: OwnedDescriptor
    private let device: UInt64
    private let inode: UInt64

    /// Takes the path and listens on it.
    ///
    /// A path without a file is bound directly (it is created with its mode, and gets its group before it listens), so
    /// that `lsof PATH` and `fuser PATH` find it: the kernel keeps the name of the bind. A stale socket is replaced by
    /// one that is bound under a temporary name and renamed, so that the path always has one.
    ///
    /// - Parameters:
    ///   - path: absolute path of the socket.
    ///   - mode: its permission bits.
    ///   - group: number of its group; `nil` leaves the process's own.
    ///   - locks: directory for the lock of a path where others may create files; `nil` if there is none.
    ///   - listener: gets the listening descriptor.
    /// - Returns: the owner of the path.
    /// - Throws: `StartFailure` if somebody else has the path, or it cannot be taken.
    static func make(
        path: String, mode: UInt32, group: UInt32?, locks: String? = nil, into listener: inout OwnedDescriptor?
    ) throws(StartFailure) -> StandaloneSocket {
        guard path.utf8.count <= Sockets.pathByteCountMax else {
            throw StartFailure(
                ExitStatus.configuration,
                "the socket's path has \(path.utf8.count) bytes, and Unix sockets take \(Sockets.pathByteCountMax); "
                    + "choose a shorter --socket (\(path))")
        }
        try makeDirectory(of: path, mode: mode)
        // Before the lock, so that no lock file is left beside a file of another program.
        try refuseForeignFile(path)
        let lockPath = try lockPath(path, locks)
        let lock = try takeLock(lockPath, path)
        do throws(StartFailure) {
            try refuseForeignServer(path)
            let made = try bind(path, mode: mode, group: group, into: &listener)
            return StandaloneSocket(
                path: path, lockPath: lockPath, lock: consume lock, device: made.device, inode: made.inode)
        } catch {
            try? Files.unlink(lockPath)
            throw error
        }
    }

    /// Removes the socket file, if it is still the one that was made, and the lock.
    consuming func remove() {
        if let now = try? Files.status(path, followingLinks: false), now.device == device, now.inode == inode {
            try? Files.unlink(path)
        }
        // A process that waits for this lock file notices that the path leads elsewhere (takeLock).
        try? Files.unlink(lockPath)
    }

    private static func bind(_ path: String, mode: UInt32, group: UInt32?, into listener: inout OwnedDescriptor?)
        throws(StartFailure) -> FileStatus
    {
        let isStale = (try? Files.status(path, followingLinks: false)) != nil
        let temporary = isShared(path) ? guarded(path) : temporaryName(path)
        let name = isStale ? temporary : path
        // A file left by a crash may be removed: we hold the lock.
        try refuseForeignFile(temporary)
        do throws(Errno) {
            if try Files.status(temporary, followingLinks: false) != nil { try Files.unlink(temporary) }
            let socket = try Sockets.bindUnix(path: name, mode: mode)
            let made = try publish(socket, name, path, group)
            listener = consume socket
            return made
        } catch {
            try? Files.unlink(name)
            throw failure(error, path)
        }
    }

    private static func publish(
        _ socket: borrowing OwnedDescriptor, _ name: String, _ path: String, _ group: UInt32?
    ) throws(Errno) -> FileStatus {
        if let group { try Files.setSocketGroup(name, gid: group) }
        try Sockets.listen(socket)
        guard let made = try Files.status(name, followingLinks: false) else { throw .noSuchFile }
        if name != path { try Files.rename(name, to: path) }
        return made
    }

    // In the same directory, since rename(2) stays within a file system; not longer than a socket's path may be.
    private static func temporaryName(_ path: String) -> String {
        let name = path + ".new"
        if name.utf8.count <= Sockets.pathByteCountMax { return name }
        return path.dropLast() + (path.hasSuffix("~") ? "_" : "~")
    }

    // In a directory where others may create files: a name that they cannot predict.
    private static func guarded(_ path: String) -> String {
        "\(directory(of: path))/.\(String(UInt64.random(in: 1 << 31..<1 << 32), radix: 16))"
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    private static func isShared(_ path: String) -> Bool {
        (try? Files.status(directory(of: path)))??.isSharedDirectory ?? false
    }

    private static func lockPath(_ path: String, _ locks: String?) throws(StartFailure) -> String {
        guard isShared(path) else { return path + ".lock" }
        guard let locks else {
            throw StartFailure(
                ExitStatus.cannotCreate,
                "others may make files beside \(path), and the user has no home for its lock; choose another --socket")
        }
        do throws(Errno) {
            // Two spellings of one path have one lock.
            let place = try Files.resolved(directory(of: path)) + path[(path.lastIndex(of: "/") ?? path.startIndex)...]
            try Files.makeDirectories(locks)
            return locks + "/"
                + place.unicodeScalars.reduce(into: "") { name, character in
                    switch character {
                    case "%": name += "%25"
                    case "/": name += "%2F"
                    default: name.unicodeScalars.append(character)
                    }
                } + ".lock"
        } catch {
            throw StartFailure(
                ExitStatus.of(error, or: ExitStatus.cannotCreate),
                "the directory \(locks) of the lock of \(path) cannot be made: \(error); choose a --socket in a directory "
                    + "where only you make files", error)
        }
    }

    // A socket that others may use must be reachable; its own permissions protect it. Parent directories of the
    // socket's directory are not part of the service, and are made as mkdir(1) makes them.
    private static func makeDirectory(of path: String, mode: UInt32) throws(StartFailure) {
        let directory = directory(of: path)
        let isForOthers = mode & 0o066 != 0
        do throws(Errno) {
            if let status = try Files.status(directory) {
                if status.kind == .directory { return }
                throw .notADirectory
            }
            let mask = Process.inheritedFileModeMask
            try Process.withFileModeMask(isForOthers ? mask & 0o022 : mask) { () throws(Errno) in
                try Files.makeDirectories(Self.directory(of: directory), mode: isForOthers ? 0o755 : 0o777)
            }
            try Process.withFileModeMask(0) { () throws(Errno) in
                try Files.makeDirectories(directory, mode: isForOthers ? 0o755 : 0o700)
            }
        } catch {
            throw StartFailure(
                ExitStatus.of(error, or: ExitStatus.cannotCreate),
                "the directory of the socket \(path) cannot be made: \(error); choose another --socket", error)
        }
    }

    private static func takeLock(_ name: String, _ path: String) throws(StartFailure) -> OwnedDescriptor {
        do throws(Errno) {
            while true {
                // O_NOFOLLOW and O_NONBLOCK: somebody else may have created a link or a pipe there (/tmp).
                let lock = try Files.open(name, flags: O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK)
                guard try Files.lockExclusively(lock) else { break }
                let mine = try Files.identity(of: lock)
                // The former owner may have removed the file between our open and our lock.
                guard let now = try Files.status(name, followingLinks: false), now.device == mine.device,
                    now.inode == mine.inode
                else { continue }
                try Files.replaceContent(of: lock, with: "\(Process.pid)\n")
                return lock
            }
        } catch {
            throw StartFailure(
                ExitStatus.of(error, or: ExitStatus.cannotCreate),
                "the lock \(name) cannot be taken: \(error); make it and its directory writable, or choose another --socket",
                error)
        }
        throw StartFailure(
            ExitStatus.unavailable,
            "another litebased\(owner(name)) serves \(path); stop it, or choose another --socket")
    }

    private static func owner(_ name: String) -> String {
        guard let text = try? Files.read(name, byteCountMax: 64) else { return "" }
        let digits = String(decoding: text, as: UTF8.self).prefix { $0.isNumber }
        return digits.isEmpty ? "" : " (pid \(digits))"
    }

    private static func refuseForeignFile(_ path: String) throws(StartFailure) {
        let status: FileStatus?
        do throws(Errno) {
            status = try Files.status(path, followingLinks: false)
        } catch {
            throw failure(error, path)
        }
        guard let status, status.kind != .socket else { return }
        let kind = status.kind == .directory ? "a directory" : "no socket"
        throw StartFailure(
            ExitStatus.cannotCreate, "\(path) is \(kind); remove it, or choose another --socket", .fileExists)
    }

    // The daemon's own sockets have a lock. Another program's socket has none, and may still be in use.
    private static func refuseForeignServer(_ path: String) throws(StartFailure) {
        guard case .process(let pid) = Sockets.owner(ofPath: path) else { return }
        throw StartFailure(
            ExitStatus.unavailable,
            "another program\(pid > 0 ? " (pid \(pid))" : "") serves \(path); stop it, or choose another --socket")
    }

    private static func failure(_ error: Errno, _ path: String) -> StartFailure {
        StartFailure(
            ExitStatus.of(error, or: ExitStatus.cannotCreate),
            "the socket \(path) cannot be made: \(error); choose another --socket, --socket-mode or --socket-group",
            error)
    }
}
