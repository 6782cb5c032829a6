// The Unix socket of a daemon that systemd did not start: who may have the path, and how it is taken and given back.

internal import Glibc
internal import LinuxSystem

/// A socket file that this process made, with the lock that says so.
///
/// The lock file `PATH.lock` decides who serves a path: it is held as long as the process lives, however it ends, so a
/// socket file whose lock is free is stale. It holds the owner's pid for messages only.
struct StandaloneSocket: ~Copyable {
    let path: String
    private let lock: OwnedDescriptor
    private let device: UInt64
    private let inode: UInt64

    /// Takes the path and listens on it.
    ///
    /// A free path is bound as it is (born with mode 0600 by the umask, widened before it listens), so that `lsof PATH` and
    /// `fuser PATH` find it: the kernel keeps the name of the bind. Over a stale socket, one that is made under a temporary
    /// name is renamed, so that the path is never without one.
    ///
    /// - Parameters:
    ///   - path: absolute path of the socket.
    ///   - mode: its permission bits.
    ///   - group: number of its group; `nil` leaves the process's own.
    ///   - listener: gets the listening descriptor.
    /// - Returns: the right to the path.
    /// - Throws: `StartFailure` when somebody else has the path, or it cannot be taken.
    static func make(path: String, mode: UInt32, group: UInt32?, into listener: inout OwnedDescriptor?)
        throws(StartFailure) -> StandaloneSocket
    {
        guard path.utf8.count <= Sockets.pathByteCountMax else {
            throw StartFailure(
                ExitStatus.configuration,
                "the socket's path has \(path.utf8.count) bytes, and Unix sockets take \(Sockets.pathByteCountMax); "
                    + "choose a shorter --socket (\(path))")
        }
        try makeDirectory(of: path, mode: mode)
        // Before the lock, so that no lock file is left beside a file that is none of ours.
        try refuseForeignFile(path)
        let lock = try takeLock(path)
        do throws(StartFailure) {
            try refuseForeignServer(path)
            let made = try bind(path, mode: mode, group: group, into: &listener)
            return StandaloneSocket(path: path, lock: consume lock, device: made.device, inode: made.inode)
        } catch {
            try? Files.unlink(lockPath(path))
            throw error
        }
    }

    /// Removes the socket file, if it is still the one that was made, and the lock.
    consuming func remove() {
        if let now = try? Files.status(path, followingLinks: false), now.device == device, now.inode == inode {
            try? Files.unlink(path)
        }
        // Whoever waits for this very file notices that the path leads elsewhere (takeLock).
        try? Files.unlink(Self.lockPath(path))
    }

    private static func bind(_ path: String, mode: UInt32, group: UInt32?, into listener: inout OwnedDescriptor?)
        throws(StartFailure) -> FileStatus
    {
        let isStale = (try? Files.status(path, followingLinks: false)) != nil
        let name = isStale ? temporaryName(path) : path
        // One that a crash left behind is ours to remove: we hold the lock.
        try refuseForeignFile(temporaryName(path))
        do throws(Errno) {
            if try Files.status(temporaryName(path), followingLinks: false) != nil {
                try Files.unlink(temporaryName(path))
            }
            let socket = try Sockets.bindUnix(path: name)
            let made = try publish(socket, name, path, mode, group)
            listener = consume socket
            return made
        } catch {
            try? Files.unlink(name)
            throw failure(error, path)
        }
    }

    private static func publish(
        _ socket: borrowing OwnedDescriptor, _ name: String, _ path: String, _ mode: UInt32, _ group: UInt32?
    ) throws(Errno) -> FileStatus {
        if let group { try Files.setGroup(name, gid: group) }
        try Files.setMode(name, mode)
        try Sockets.listen(socket)
        guard let made = try Files.status(name, followingLinks: false) else { throw .noSuchFile }
        if name != path { try Files.rename(name, to: path) }
        return made
    }

    // Next to the path, since rename(2) stays within a file system; not longer than a socket's path may be.
    private static func temporaryName(_ path: String) -> String {
        let name = path + ".new"
        if name.utf8.count <= Sockets.pathByteCountMax { return name }
        return path.dropLast() + (path.hasSuffix("~") ? "_" : "~")
    }

    private static func lockPath(_ path: String) -> String { path + ".lock" }

    // A socket that others may use must be reachable; its own permissions guard it.
    private static func makeDirectory(of path: String, mode: UInt32) throws(StartFailure) {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return }
        let directory = String(path[..<slash])
        do throws(Errno) {
            if let status = try Files.status(directory) {
                if status.kind == .directory { return }
                throw .notADirectory
            }
            try Files.makeDirectories(directory)
            if mode & 0o066 != 0 { try Files.setMode(directory, 0o755) }
        } catch {
            throw StartFailure(
                ExitStatus.of(error, or: ExitStatus.cannotCreate),
                "the directory of the socket \(path) cannot be made: \(error); choose another --socket", error)
        }
    }

    private static func takeLock(_ path: String) throws(StartFailure) -> OwnedDescriptor {
        let name = lockPath(path)
        do throws(Errno) {
            while true {
                // O_NOFOLLOW and O_NONBLOCK: somebody else may have put a link or a pipe there (/tmp).
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

    // Ours have a lock. Another program's socket has none, and may be served all the same.
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
