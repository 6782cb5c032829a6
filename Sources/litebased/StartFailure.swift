// Why the daemon does not start, and its exit status.

internal import LinuxSystem

/// Exit statuses of sysexits(3).
enum ExitStatus {
    static let success: Int32 = 0
    static let usage: Int32 = 64
    static let unavailable: Int32 = 69
    static let software: Int32 = 70
    static let systemError: Int32 = 71
    static let cannotCreate: Int32 = 73
    static let ioError: Int32 = 74
    static let noPermission: Int32 = 77
    static let configuration: Int32 = 78

    /// The status for a failed system call; `other` if its errno has no special meaning.
    static func of(_ error: Errno, or other: Int32) -> Int32 {
        error == .permissionDenied || error == .notPermitted ? noPermission : other
    }
}

/// A start that failed.
struct StartFailure: Error {
    /// One of `ExitStatus`.
    var status: Int32
    /// One line: cause, semicolon, remedy.
    var message: String
    /// The error of the system call behind it, if any.
    var error: Errno?

    init(_ status: Int32, _ message: String, _ error: Errno? = nil) {
        self.status = status
        self.message = message
        self.error = error
    }
}
