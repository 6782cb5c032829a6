// Passwords of databases are read from files at each connection, so a new password needs no restart.

internal import Glibc
internal import LinuxSystem

/// A file that contains one password and nothing else; a final newline is ignored.
public struct PasswordFile: Sendable, Equatable {
    /// Absolute; `nil` for a credential that the service manager has not provided.
    private let path: String?
    /// The name of a credential that the service manager provides for this service alone (systemd.exec(5)). Its
    /// permission bits mean nothing: an access list names the service's user.
    private let credential: String?

    private static let byteCountMax = 4096

    /// A file of the administrator's.
    public init(path: String) {
        self.path = path
        credential = nil
    }

    /// A credential by its name.
    ///
    /// - Parameters:
    ///   - name: as in the unit file.
    ///   - directory: the credentials directory of the service; `nil` if the service manager has provided none.
    public init(credential name: String, directory: String?) {
        path = directory.map { "\($0)/\(name)" }
        credential = name
    }

    /// What to do about a credential that is missing; `nil` if it exists. It cannot appear before the next start.
    public var missingCredential: String? {
        guard let credential else { return nil }
        if let path {
            // If the file cannot be examined, reading it will report why.
            do throws(Errno) {
                if try Files.status(path) != nil { return nil }
            } catch {
                return nil
            }
        }
        return "The service has no credential \"\(credential)\". \(Self.remedy(credential))"
    }

    private static func remedy(_ credential: String) -> String {
        "Add LoadCredential=\(credential):/etc/litebase/credentials/\(credential) to a drop-in of litebase.service, then: "
            + "systemctl daemon-reload; systemctl restart litebase.service"
    }

    /// Reads the password.
    /// - Throws: `connectFailed` that says what is wrong with the file, never what it contains.
    /// - Thread: one that may block.
    package func read() throws(DriverError) -> String {
        guard let path, missingCredential == nil else {
            throw Self.unavailable(
                "The service has no credential \"\(credential ?? "")\".", Self.remedy(credential ?? ""))
        }
        let status: FileStatus
        let bytes: [UInt8]
        do throws(Errno) {
            // A long file is something else, perhaps an open database, whose locks would end with this descriptor
            // (fcntl(2)).
            if let found = try Files.status(path), found.byteCount > Self.byteCountMax { throw Errno.invalidArgument }
            // A pipe would block the thread.
            let file = try Files.open(path, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
            status = try Files.status(of: file)
            bytes = status.kind == .regular ? try Files.read(file, byteCountMax: Self.byteCountMax) : []
        } catch {
            throw Self.problem(
                path,
                error == .invalidArgument ? "is longer than \(Self.byteCountMax) bytes" : "cannot be read: \(error)")
        }
        if let problem = ownershipProblem(status) { throw Self.problem(path, problem.what, problem.remedy) }
        return try Self.password(bytes, path)
    }

    /// Why nobody could read a password from it; `nil` if somebody can, or if that cannot be decided here: this process
    /// may run as another user than the daemon.
    ///
    /// - Parameter isDaemon: whether this process runs as the daemon's user, so that everything can be decided.
    /// - Returns: what is wrong.
    public func problem(isDaemon: Bool) -> String? {
        guard let path, credential == nil else { return nil }
        do throws(Errno) {
            guard let status = try Files.status(path) else { throw Errno.noSuchFile }
            if isDaemon {
                if let problem = ownershipProblem(status) { return "the password file \(problem.what)" }
                _ = try Files.read(path, byteCountMax: Self.byteCountMax)
            }
            if status.kind != .regular { return "the password file is not a regular file" }
            let isOpen = status.mode & (status.ownerUID == 0 ? 0o037 : 0o077) != 0
            return isOpen ? "the password file is open to others; take their permissions away" : nil
        } catch {
            return error == .permissionDenied && !isDaemon ? nil : "the password file cannot be read: \(error)"
        }
    }

    private static func password(_ bytes: [UInt8], _ path: String) throws(DriverError) -> String {
        var line = bytes[...]
        if line.last == 0x0a { line.removeLast() }
        if line.last == 0x0d { line.removeLast() }
        guard !line.isEmpty else { throw problem(path, "is empty") }
        guard !line.contains(where: { $0 == 0 || $0 == 0x0a }) else { throw problem(path, "holds more than one line") }
        guard let text = String(validating: line, as: UTF8.self) else { throw problem(path, "is not UTF-8") }
        return text
    }

    /// Users other than the intended ones who could write or read it.
    private func ownershipProblem(_ status: FileStatus) -> (what: String, remedy: String?)? {
        guard status.kind == .regular else { return ("is not a regular file", nil) }
        if credential != nil { return nil }
        guard status.ownerUID == 0 || status.ownerUID == Process.effectiveUID else {
            return ("belongs to another user", "It must belong to root or to the user whom the daemon runs as.")
        }
        // Root may let the daemon's group read it.
        let forbidden: UInt32 = status.ownerUID == 0 ? 0o037 : 0o077
        if status.mode & forbidden == 0 { return nil }
        return (
            "is open to others", "Take their permissions away: chmod \(status.ownerUID == 0 ? "0640" : "0600") FILE"
        )
    }

    private static func problem(_ path: String, _ what: String, _ remedy: String? = nil) -> DriverError {
        unavailable("The file \(path) \(what).", remedy ?? "Put the password alone into that file.")
    }

    private static func unavailable(_ detail: String, _ hint: String) -> DriverError {
        DriverError(
            DriverError.Details(
                code: .connectFailed, message: "The password of the database cannot be had.", detail: detail,
                hint: hint, sqlState: "28000", isRetryable: false))
    }
}
