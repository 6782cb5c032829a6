// Where the files of a daemon are, and how they are written: whole or not at all, and for its eyes only.

internal import Glibc
internal import LinuxSystem

/// The configuration that a command works on.
struct ConfigurationPlace {
    /// `litebase.toml`.
    let mainFile: String
    /// The daemon does not read it unless it is there.
    let mustExist: Bool
    /// The system's daemon, which runs as a user of its own under systemd.
    let isSystem: Bool
    /// The usual files of a user, which the system's daemon does not read.
    let isUsersOwn: Bool

    /// - Parameter file: another main file than that of the system's daemon, for root, or of the user's.
    init(file: String?) {
        if let file {
            mainFile = Self.absolute(file)
            mustExist = true
            isSystem = false
            isUsersOwn = false
        } else {
            mainFile = StandardPaths.current.configurationDirectory + "/litebase.toml"
            mustExist = false
            isSystem = Process.effectiveUID == 0
            isUsersOwn = !isSystem
        }
    }

    var dropInDirectory: String { mainFile + ".d" }
    var credentialsDirectory: String { Self.directory(of: mainFile) + "/credentials" }

    func dropIn(_ database: String) -> String { "\(dropInDirectory)/\(database).toml" }
    func passwordFile(_ database: String) -> String { "\(credentialsDirectory)/\(database).password" }

    /// The text of a file of the configuration.
    /// - Returns: `nil` if there is none.
    static func read(_ path: String) throws(InputError) -> String? {
        do throws(Errno) {
            return String(decoding: try Files.read(path, byteCountMax: 1 << 20), as: UTF8.self)
        } catch {
            if error == .noSuchFile { return nil }
            throw InputError(
                message: "\(path) cannot be read: \(error)",
                status: error == .permissionDenied ? ExitStatus.noPermission : ExitStatus.noInput)
        }
    }

    /// Writes a file of the configuration, readable by the daemon.
    func write(_ text: String, to path: String) throws(InputError) {
        let group = isSystem ? Process.groupID("litebase") : nil
        try attempt(path) { () throws(Errno) in
            try Files.makeDirectories(Self.directory(of: path), mode: isSystem ? 0o755 : 0o700)
            try Files.replace(path, with: Array(text.utf8), mode: group == nil ? 0o600 : 0o640, gid: group)
        }
    }

    /// Writes a secret, readable by its owner alone.
    func write(secret: [UInt8], to path: String) throws(InputError) {
        try attempt(path) { () throws(Errno) in
            try Files.makeDirectories(Self.directory(of: path), mode: 0o700)
            try Files.replace(path, with: secret, mode: 0o600)
        }
    }

    /// Removes a file.
    func remove(_ path: String) throws(InputError) {
        try attempt(path) { () throws(Errno) in
            try Files.unlink(path)
            try Files.sync(directory: Self.directory(of: path))
        }
    }

    private func attempt(_ path: String, _ body: () throws(Errno) -> Void) throws(InputError) {
        do throws(Errno) {
            try body()
        } catch {
            let isDenied = error == .permissionDenied || error == .notPermitted
            throw InputError(
                message: "cannot change \(path): \(error)",
                status: isDenied ? ExitStatus.noPermission : ExitStatus.ioError)
        }
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// The path from the root on.
    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        let path = path.hasPrefix("./") ? String(path.dropFirst(2)) : path
        return Process.workingDirectory == "/" ? "/\(path)" : "\(Process.workingDirectory)/\(path)"
    }
}
