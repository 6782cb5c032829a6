// How the command line fails: one line on stderr and a status that scripts can tell apart.

internal import Glibc
internal import LinuxSystem
import LiteBaseClient

/// A mistake in the arguments.
struct UsageError: Error, Equatable {
    let message: String
    init(_ message: String) { self.message = message }
}

/// Exit statuses, after sysexits(3); the manual page lists them.
enum ExitStatus {
    static let success: Int32 = 0
    /// The database refused or failed a statement.
    static let statementFailed: Int32 = 1
    static let usage: Int32 = EX_USAGE
    /// Input that cannot be read as SQL text.
    static let dataError: Int32 = EX_DATAERR
    static let noInput: Int32 = EX_NOINPUT
    /// No daemon, or it went away.
    static let unavailable: Int32 = EX_UNAVAILABLE
    /// The server's answers make no sense, or an internal error.
    static let software: Int32 = EX_SOFTWARE
    static let ioError: Int32 = EX_IOERR
    static let temporaryFailure: Int32 = EX_TEMPFAIL
    static let noPermission: Int32 = EX_NOPERM
    static let configuration: Int32 = EX_CONFIG
    /// 128 + SIGINT, as a shell reports it.
    static let interrupted: Int32 = 130

    static func of(_ error: ClientError) -> Int32 {
        switch error {
        case .noSocket, .disconnected: unavailable
        case .cannotConnect(_, let errno): errno == .permissionDenied ? noPermission : unavailable
        case .untrusted: noPermission
        case .timedOut: temporaryFailure
        case .protocolViolation: software
        case .invalidRequest: usage
        case .unreadableInput: noInput
        case .cannotWrite: ioError
        case .server(let error): of(error)
        }
    }

    static func of(_ error: ServerError) -> Int32 {
        switch error.code {
        case .permissionDenied: noPermission
        case .configurationInvalid: configuration
        case .busy, .limitExceeded, .shuttingDown, .timeout: temporaryFailure
        case .connectFailed, .driverMissing, .outcomeUnknown: unavailable
        case .badFrame, .unknownType, .internalError: software
        default: statementFailed
        }
    }
}
