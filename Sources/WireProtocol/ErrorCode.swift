// The error codes of the protocol: one table for the wire, the documentation and the tests.
//
// docs/errors.md is generated from it (see ErrorCodeTests). Numbers are never used again for something else.

/// The error codes: the `code` of an `error` reply.
public enum ErrorCode: UInt8, CaseIterable, Sendable {
    case badFrame, frameTooLarge, unknownType
    case badRequest, needsSession, sessionNotFound, targetNotFound
    case permissionDenied, databaseNotFound, limitExceeded, shuttingDown, configurationInvalid
    case connectFailed, driverMissing, outcomeUnknown
    case syntaxError, constraintViolation, readOnly, databaseError, busy, timeout, cancelled, transactionRolledBack
    case `internal`

    /// One row of the table.
    public struct Entry: Sendable {
        /// The code on the wire.
        public let name: StaticString
        /// A stable number; its thousands are the family.
        public let number: Int
        /// Its meaning, as a sentence.
        public let meaning: StaticString
        /// Who can correct it.
        public let fixedBy: StaticString
        /// Whether and when it helps to send the request again.
        public let retry: StaticString
        /// The `retryable` of an error reply, unless the server knows better.
        public let isRetryable: Bool

        init(
            _ name: StaticString, _ number: Int, _ meaning: StaticString, fixedBy: StaticString, retry: StaticString,
            isRetryable: Bool = false
        ) {
            self.name = name
            self.number = number
            self.meaning = meaning
            self.fixedBy = fixedBy
            self.retry = retry
            self.isRetryable = isRetryable
        }
    }

    /// The code on the wire.
    public var name: StaticString { entry.name }
    /// A stable number: 1xxx frame and protocol, 2xxx request, 3xxx access and limits, 4xxx driver and connection, 5xxx
    /// errors of the database, 9xxx internal.
    public var number: Int { entry.number }
    /// Whether sending the same request again can help.
    public var isRetryable: Bool { entry.isRetryable }

    /// The code with this name on the wire; `nil` for one that this version does not know.
    public init?(name: UnsafeRawBufferPointer) {
        for code in Self.allCases where name.equals(code.name) {
            self = code
            return
        }
        return nil
    }

    /// The code's row.
    public var entry: Entry {
        switch self {
        case .badFrame, .frameTooLarge, .unknownType: frameEntry
        case .badRequest, .needsSession, .sessionNotFound, .targetNotFound: requestEntry
        case .permissionDenied, .databaseNotFound, .limitExceeded, .shuttingDown, .configurationInvalid: accessEntry
        case .connectFailed, .driverMissing, .outcomeUnknown: connectionEntry
        case .syntaxError, .constraintViolation, .readOnly, .databaseError, .busy, .timeout, .cancelled,
            .transactionRolledBack:
            databaseEntry
        case .internal:
            Entry(
                "internal", 9001, "The daemon met a state that it should never be in; the journal has the details.",
                fixedBy: "LiteBase's developers: please report it with the journal's lines",
                retry: "Once; if it stays, restart the service.")
        }
    }

    private var frameEntry: Entry {
        switch self {
        case .frameTooLarge:
            Entry(
                "frame_too_large", 1002, "A message is longer than the daemon accepts; the connection is closed.",
                fixedBy: "the client's programmer, or the administrator (frame limit)",
                retry: "Not as it is: send the data in smaller messages, for example with `batch`.")
        case .unknownType:
            Entry(
                "unknown_type", 1003, "The message's `type` is none that this version knows.",
                fixedBy: "the client's programmer",
                retry: "Not as it is: compare the type with docs/protocol.md.")
        default:
            Entry(
                "bad_frame", 1001, "The bytes are not a message: not MessagePack or JSON, cut short, or malformed.",
                fixedBy: "the client's programmer",
                retry: "Not as it is: the message says which byte was not understood.")
        }
    }

    private var requestEntry: Entry {
        switch self {
        case .needsSession:
            Entry(
                "needs_session", 2002, "The statement changes the state of a session, and none was named.",
                fixedBy: "the client's programmer",
                retry: "With the `session` that `db_connect` returned, or as one `batch`.")
        case .sessionNotFound:
            Entry(
                "session_not_found", 2003,
                "There is no such session on this connection: never opened, closed, or expired.",
                fixedBy: "the client's programmer",
                retry: "After a new `db_connect`.")
        case .targetNotFound:
            Entry(
                "target_not_found", 2004,
                "There is no connection, session or request of that number or name that the caller may end.",
                fixedBy: "nobody: it may have ended by itself",
                retry: "Not as it is: `activity` lists what there is.")
        default:
            Entry(
                "bad_request", 2001, "The message was read, but a field is missing, of the wrong type or out of range.",
                fixedBy: "the client's programmer",
                retry: "Not as it is: the message names the field.")
        }
    }

    private var accessEntry: Entry {
        switch self {
        case .databaseNotFound:
            Entry(
                "database_not_found", 3002, "No database of that name is configured for the caller.",
                fixedBy: "the caller (see `list_databases`), or the administrator",
                retry: "After the name or the configuration is corrected.")
        case .limitExceeded:
            Entry(
                "limit_exceeded", 3003,
                "The caller has as many connections, sessions, requests or bytes in use as one user may.",
                fixedBy: "the caller, by finishing something first; or the administrator (limits)",
                retry: "After `retry_after_ms`, or when something has finished.", isRetryable: true)
        case .shuttingDown:
            Entry(
                "shutting_down", 3004, "The daemon is stopping and takes no new work.",
                fixedBy: "nobody: systemd starts it again at the next connection",
                retry: "On a new connection, after `retry_after_ms`.", isRetryable: true)
        case .configurationInvalid:
            Entry(
                "configuration_invalid", 3005,
                "The daemon was asked to reload, and its configuration has errors; the former one stays in force.",
                fixedBy: "the administrator: `detail` names file, line and remedy of each error",
                retry: "After the configuration is corrected.")
        default:
            Entry(
                "permission_denied", 3001, "The caller's Unix user and groups do not allow this.",
                fixedBy: "the administrator (the database's access list)",
                retry: "Not before the access list is changed.")
        }
    }

    private var connectionEntry: Entry {
        switch self {
        case .driverMissing:
            Entry(
                "driver_missing", 4002, "The client library of this database engine is not installed.",
                fixedBy: "the administrator: the message names the package",
                retry: "After the package is installed.")
        case .outcomeUnknown:
            Entry(
                "outcome_unknown", 4003,
                "It is not known whether the request took effect, or it did, without all its rows: `message` says.",
                fixedBy: "the client, which must look whether its change is there",
                retry: "Only if it is not there, or may be there twice; `detail` says which sessions are gone.")
        default:
            Entry(
                "connect_failed", 4001, "The database could not be opened or reached.",
                fixedBy: "the administrator (file, host, credentials)",
                retry: "When the database is back; `retryable` says whether that is likely.", isRetryable: true)
        }
    }

    private var databaseEntry: Entry {
        switch self {
        case .syntaxError:
            Entry(
                "syntax_error", 5001,
                "The database cannot compile the statement: syntax, or a name that does not exist.",
                fixedBy: "whoever wrote the SQL: `position` says where",
                retry: "Not as it is.")
        case .constraintViolation:
            Entry(
                "constraint_violation", 5002,
                "The change would break a constraint: unique, not null, check or foreign key.",
                fixedBy: "whoever supplied the data",
                retry: "Not as it is.")
        case .readOnly:
            Entry(
                "read_only", 5003, "The statement writes, and the database or the session may only be read.",
                fixedBy: "the caller, or the administrator (access list)",
                retry: "On a database that the caller may write.")
        case .busy:
            Entry(
                "busy", 5005, "A lock that the statement needs is held by somebody else; `holder` says by whom.",
                fixedBy: "whoever holds the lock, by ending the transaction",
                retry: "After `retry_after_ms`; within a transaction, all of it.", isRetryable: true)
        case .timeout:
            Entry(
                "timeout", 5006, "The statement took longer than `timeout_ms` and was stopped; it changed nothing.",
                fixedBy: "whoever wrote the SQL, or the client by a longer `timeout_ms`",
                retry: "With a longer timeout.")
        case .cancelled:
            Entry(
                "cancelled", 5007, "The request was stopped by `cancel`; it changed nothing.",
                fixedBy: "nobody: this is what was asked for",
                retry: "Whenever wanted.")
        case .transactionRolledBack:
            Entry(
                "transaction_rolled_back", 5008,
                "A COMMIT has committed nothing: its transaction was rolled back, since a statement in it had failed.",
                fixedBy: "whoever wrote the transaction: the error of that statement says why",
                retry: "Not as it is: the whole transaction, once that error's cause is gone.")
        default:
            Entry(
                "database_error", 5004, "The database refused the statement; `sqlstate` and `vendor_code` say why.",
                fixedBy: "whoever wrote the SQL, or the administrator (disk full, damaged file)",
                retry: "Depends on the cause; `retryable` says.")
        }
    }
}
