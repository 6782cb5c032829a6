// Passwords of databases come from files that are read at each connection: a new password needs no restart, and none lies
// in the daemon's memory while nobody connects.

internal import LinuxSystem

/// A file that holds one password and nothing else; a line end behind it does not count.
public struct PasswordFile: Sendable, Equatable {
    /// Absolute.
    public let path: String
    /// The service manager has put it there for this service alone (systemd.exec(5), credentials). Its permission bits say
    /// nothing: an access list names the service's user.
    public let isCredential: Bool

    private static let byteCountMax = 4096

    public init(path: String, isCredential: Bool) {
        self.path = path
        self.isCredential = isCredential
    }

    /// Reads the password.
    /// - Throws: `connectFailed` that says what is wrong with the file and never what is in it.
    /// - Thread: one that may block.
    func read() throws(DriverError) -> String {
        if let problem = ownershipProblem() { throw self.problem(problem.what, problem.remedy) }
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try Files.read(path, byteCountMax: Self.byteCountMax)
        } catch {
            throw problem(
                error == .invalidArgument ? "is longer than \(Self.byteCountMax) bytes" : "cannot be read: \(error)")
        }
        return try password(bytes)
    }

    private func password(_ bytes: [UInt8]) throws(DriverError) -> String {
        var line = bytes[...]
        if line.last == 0x0a { line.removeLast() }
        if line.last == 0x0d { line.removeLast() }
        guard !line.isEmpty else { throw problem("is empty") }
        guard !line.contains(where: { $0 == 0 || $0 == 0x0a }) else { throw problem("holds more than one line") }
        guard let text = String(validating: line, as: UTF8.self) else { throw problem("is not UTF-8") }
        return text
    }

    /// Who could have written it, or can read it, and should not.
    private func ownershipProblem() -> (what: String, remedy: String?)? {
        // What cannot be looked at cannot be read either, and that says why.
        guard let status = try? Files.status(path) else { return nil }
        guard status.kind == .regular else { return ("is not a regular file", nil) }
        if isCredential { return nil }
        guard status.ownerUID == 0 || status.ownerUID == Process.effectiveUID else {
            return ("belongs to another user", "It must belong to root or to the user whom the daemon runs as.")
        }
        // Root may let the daemon's group read it.
        let forbidden: UInt32 = status.ownerUID == 0 ? 0o037 : 0o077
        if status.mode & forbidden == 0 { return nil }
        return (
            "can be read by others", "Take their permissions away: chmod \(status.ownerUID == 0 ? "0640" : "0600") FILE"
        )
    }

    private func problem(_ what: String, _ remedy: String? = nil) -> DriverError {
        DriverError(
            DriverError.Details(
                code: .connectFailed, message: "The password of the database cannot be had.",
                detail: "The file \(path) \(what).", hint: remedy ?? "Put the password alone into that file.",
                sqlState: "28000", isRetryable: false))
    }
}
