// The few file-system calls that the daemon and the client need.

internal import CLinux
internal import Glibc

/// What a path leads to (stat(2)).
public struct FileStatus: Sendable {
    public enum Kind: Sendable { case regular, directory, socket, other }
    public var kind: Kind
    /// Permission bits, such as 0o600.
    public var mode: UInt32
    public var ownerUID: UInt32
    public var ownerGID: UInt32
    public var byteCount: Int64
    public var device: UInt64
    public var inode: UInt64

    /// Whether users other than root and the process's own may create files in this directory.
    public var isSharedDirectory: Bool {
        kind == .directory && (mode & 0o022 != 0 || (ownerUID != 0 && ownerUID != Process.effectiveUID))
    }

    init(_ info: stat) {
        kind =
            switch info.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFSOCK: .socket
            default: .other
            }
        mode = info.st_mode & 0o7777
        ownerUID = info.st_uid
        ownerGID = info.st_gid
        byteCount = Int64(info.st_size)
        device = UInt64(info.st_dev)
        inode = UInt64(info.st_ino)
    }
}

/// The identity of a file, whatever its name (stat(2)): unique while the file is open somewhere.
public struct FileIdentity: Equatable, Sendable {
    public let device: UInt64
    public let inode: UInt64

    /// As the kernel numbers them.
    public init(device: UInt64, inode: UInt64) { (self.device, self.inode) = (device, inode) }

    /// The file to which a path leads now; `nil` if that cannot be found out.
    public init?(path: String) {
        guard let status = try? Files.status(path) else { return nil }
        self.init(status)
    }

    public init(_ status: FileStatus) { (device, inode) = (status.device, status.inode) }
}

/// File calls; all are blocking and belong to start-up, reload and the command line, not to a loop's hot path.
public enum Files {
    /// Gives a file another name, which nothing has yet.
    /// - Throws: `Errno.fileExists` if something has it.
    public static func rename(_ path: String, toNew new: String) throws(Errno) {
        if clinux_rename_new(path, new) == 0 { return }
        // Not every file system can.
        guard Errno.current == .invalidArgument, Glibc.link(path, new) == 0 else { throw .current }
        _ = Glibc.unlink(path)
    }

    /// Whether somebody has a lock on a part of an open file (fcntl(2)): of a database, who uses it.
    public static func isLocked(_ number: Int32) -> Bool { clinux_is_locked(number) }

    /// Status of a path, following symbolic links unless told otherwise.
    /// - Returns: `nil` if there is nothing at the path.
    public static func status(_ path: String, followingLinks: Bool = true) throws(Errno) -> FileStatus? {
        var info = stat()
        do throws(Errno) {
            _ = try SystemCalls.call(.fstat) {
                Int(fstatat(AT_FDCWD, path, &info, followingLinks ? 0 : AT_SYMLINK_NOFOLLOW))
            }
        } catch {
            if error == .noSuchFile { return nil }
            throw error
        }
        return FileStatus(info)
    }

    /// Whether the process may write a file, or make files in a directory. What is asked later may be answered otherwise.
    public static func mayWrite(_ path: String) -> Bool { faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 }

    /// A number that changes when the file at a path is changed, replaced, or given to another owner; for a directory,
    /// also when a name in it changes. 0 if it cannot be found out.
    public static func changeMark(_ path: String) -> UInt64 {
        var info = stat()
        guard fstatat(AT_FDCWD, path, &info, 0) == 0 else { return 0 }
        let seconds = UInt64(bitPattern: Int64(info.st_ctim.tv_sec))
        return seconds &* 1_000_000_000 &+ UInt64(info.st_ctim.tv_nsec) ^ UInt64(info.st_ino) &* 0x9e37_79b9_7f4a_7c15
    }

    /// Makes a directory and its missing parents.
    /// `mode` holds the permission bits of those that are made, less the umask.
    public static func makeDirectories(_ path: String, mode: UInt32 = 0o700) throws(Errno) {
        if let status = try status(path) {
            if status.kind == .directory { return }
            throw .notADirectory
        }
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex {
            try makeDirectories(String(path[..<slash]), mode: mode)
        }
        do throws(Errno) {
            _ = try SystemCalls.call(.makeDirectory) { Int(mkdir(path, mode)) }
        } catch {
            if error != .fileExists { throw error }
        }
    }

    /// Opens a file; close-on-exec is added.
    /// `flags` are those of open(2), such as `O_RDONLY`.
    public static func open(_ path: String, flags: Int32, mode: UInt32 = 0o600) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(Int32(try SystemCalls.call(.open) { Int(Glibc.open(path, flags | O_CLOEXEC, mode)) }))
    }

    /// Whole content of a regular file.
    /// - Throws: `Errno.noSpace` never; `.invalidArgument` when it is longer than `byteCountMax`.
    public static func read(_ path: String, byteCountMax: Int) throws(Errno) -> [UInt8] {
        try read(try open(path, flags: O_RDONLY), byteCountMax: byteCountMax)
    }

    /// The rest of an open file.
    /// - Throws: `.invalidArgument` when it is longer than `byteCountMax`.
    public static func read(_ file: borrowing OwnedDescriptor, byteCountMax: Int) throws(Errno) -> [UInt8] {
        var content: [UInt8] = []
        while true {
            let number = file.number
            var count = 0
            var failure: Errno?
            let chunk = [UInt8](unsafeUninitializedCapacity: 65536) { buffer, filled in
                do throws(Errno) {
                    filled = try SystemCalls.call(.read) { Glibc.read(number, buffer.baseAddress, 65536) }
                } catch {
                    failure = error
                    filled = 0
                }
                count = filled
            }
            if let failure { throw failure }
            if count == 0 { return content }
            if content.count + count > byteCountMax { throw .invalidArgument }
            content += chunk
        }
    }

    /// Writes all of `bytes` to a blocking descriptor.
    public static func writeAll(_ file: borrowing OwnedDescriptor, _ bytes: UnsafeRawBufferPointer) throws(Errno) {
        let number = file.number
        var rest = bytes
        while rest.count > 0 {
            let run = rest
            let count = try SystemCalls.call(.write) { Glibc.write(number, run.baseAddress, run.count) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    public static func unlink(_ path: String) throws(Errno) {
        _ = try SystemCalls.call(.unlink) { Int(Glibc.unlink(path)) }
    }

    public static func rename(_ from: String, to: String) throws(Errno) {
        _ = try SystemCalls.call(.rename) { Int(Glibc.rename(from, to)) }
    }

    /// Sets permission bits; a Unix socket's mode says who may connect (unix(7)).
    public static func setMode(_ path: String, _ mode: UInt32) throws(Errno) {
        _ = try SystemCalls.call(.open) { Int(chmod(path, mode)) }
    }

    /// Sets the group of a socket of the process's own user, and of no other file to which the path may lead meanwhile.
    public static func setSocketGroup(_ path: String, gid: UInt32) throws(Errno) {
        _ = try SystemCalls.call(.open) { Int(clinux_set_socket_group(path, gid)) }
    }

    /// The path without links, `.` and `..` (realpath(3)).
    public static func resolved(_ path: String) throws(Errno) -> String {
        guard let found = realpath(path, nil) else { throw .current }
        defer { free(found) }
        return String(cString: found)
    }

    /// Takes an exclusive lock that ends with the last descriptor of this open file (flock(2)).
    /// - Returns: false when somebody else holds it.
    public static func lockExclusively(_ file: borrowing OwnedDescriptor) throws(Errno) -> Bool {
        let number = file.number
        do throws(Errno) {
            _ = try SystemCalls.call(.flock) { Int(clinux_flock_exclusive_nonblocking(number)) }
            return true
        } catch {
            if error == .wouldBlock { return false }
            throw error
        }
    }

    /// Names in a directory without `.` and `..`, sorted bytewise; empty when it does not exist.
    public static func names(in directory: String) throws(Errno) -> [String] {
        guard let stream = opendir(directory) else {
            if Errno.current == .noSuchFile { return [] }
            throw Errno.current
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}
