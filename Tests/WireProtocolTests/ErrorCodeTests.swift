// The table of error codes, and the document that is made from it.

import Glibc
import Testing
import WireProtocol

@Suite struct ErrorCodeTests {
    /// The codes of the protocol's text, so that none is lost or renamed by accident.
    static let names: Set<String> = [
        "bad_frame", "frame_too_large", "bad_request", "unknown_type", "permission_denied", "database_not_found",
        "session_not_found", "needs_session", "connect_failed", "driver_missing", "syntax_error",
        "constraint_violation", "read_only", "database_error", "busy", "timeout", "cancelled", "limit_exceeded",
        "shutting_down", "configuration_invalid", "outcome_unknown", "internal",
        "transaction_rolled_back", "target_not_found",
    ]

    @Test func everyCodeOfTheProtocol() {
        #expect(Set(ErrorCode.allCases.map { "\($0.name)" }) == Self.names)
        #expect(Set(ErrorCode.allCases.map(\.number)).count == ErrorCode.allCases.count)
    }

    @Test(arguments: ErrorCode.allCases)
    func namesAreReadBack(code: ErrorCode) {
        Array("\(code.name)".utf8).withUnsafeBytes { #expect(ErrorCode(name: $0) == code) }
        #expect([1, 2, 3, 4, 5, 9].contains(code.number / 1000))
        Array("\(code.name)x".utf8).withUnsafeBytes { #expect(ErrorCode(name: $0) == nil) }
    }

    static let path = repositoryRoot + "/docs/errors.md"

    /// Run with LITEBASE_UPDATE_DOCS=1 to write the document anew.
    @Test func documentIsCurrent() throws {
        if getenv("LITEBASE_UPDATE_DOCS") != nil { try writeFile(Self.path, Array(Self.document.utf8)) }
        let committed = try String(decoding: readFile(Self.path), as: UTF8.self)
        #expect(committed == Self.document, "docs/errors.md is stale: run the tests with LITEBASE_UPDATE_DOCS=1")
    }

    static var document: String {
        var text = """
            # Error codes

            Every failure is one `error` reply. Its `code` is one of these; `message` says in a sentence what happened, and \
            `hint`, `detail`, `sqlstate`, `vendor_code` and `position` say more where more is known (see \
            [protocol.md](protocol.md#errors)). The numbers are stable, for logs and searches: they are never used again for \
            something else. A client must take a code that it does not know for `database_error`.

            This page is made from the table in `Sources/WireProtocol/ErrorCode.swift`; a test keeps the two the same.

            """
        var family = 0
        for code in ErrorCode.allCases.sorted(by: { $0.number < $1.number }) {
            if code.number / 1000 != family {
                family = code.number / 1000
                text += "\n## \(family)xxx: \(title(ofFamily: family))\n"
            }
            let entry = code.entry
            text += """

                ### \(entry.number) `\(entry.name)`
                \(entry.meaning)

                - Fixed by: \(entry.fixedBy).
                - Again: \(entry.retry)
                - `retryable`, unless the reply says otherwise: \(entry.isRetryable).

                """
        }
        return text + conditions
    }

    /// The same for all engines; ErrorConditions of DatabaseContract is compared with it by that module's tests.
    static let conditions = """

        ## The database's own errors: codes by `sqlstate`

        What a database says has a `sqlstate`, and that decides the `code`, by one table for all engines. A row \
        for a whole state goes before the row for its class, the first two characters; what is in no row is \
        `database_error`. SQLite and Redis have no states: LiteBase gives each of their errors the one that \
        PostgreSQL would.

        | `sqlstate` | `code` | said of |
        |---|---|---|
        | `07` | `bad_request` | parameters that are too few or too many, or have names that the statement or the \
        engine does not have |
        | `08` | `connect_failed` | a connection to the server that was lost or refused |
        | `08P01` | `bad_request` | parameters that are too few or too many, by PostgreSQL |
        | `08007` | `outcome_unknown` | a connection that was lost while the statement may have been committed |
        | `21S01` | `syntax_error` | INSERT with another number of values than of columns, by MySQL |
        | `23` | `constraint_violation` | keys, unique, not null, check, foreign keys, types of a STRICT table |
        | `44` | `constraint_violation` | a view's WITH CHECK OPTION |
        | `25006` | `read_only` | a statement that writes where only reading is allowed |
        | `28` | `connect_failed` | a login that the server refuses |
        | `40` | `busy` | a transaction that was rolled back for another one's sake: repeat all of it |
        | `40000` | `transaction_rolled_back` | a COMMIT whose transaction was rolled back instead, or had been before |
        | `40002` | `constraint_violation` | a constraint that is looked at when the transaction is committed |
        | `40003` | `outcome_unknown` | a statement of which the server does not know the end |
        | `42` | `syntax_error` | what cannot be compiled: syntax, or a table, column, function or command that \
        does not exist |
        | `42501` | `permission_denied` | a right that is missing |
        | `42701` `42710` `42712` `42723` | `database_error` | a column, index or other object, alias or \
        function that is there already |
        | `42P03` `42P04` `42P05` `42P06` `42P07` | `database_error` | a cursor, database, prepared statement, \
        schema or table that is there already |
        | `42S01` `42S11` `42S21` | `database_error` | a table, index or column that is there already, by MySQL |
        | `42804` | `database_error` | a value of another type than is needed or stored |
        | `53300` | `connect_failed` | a server with as many connections as it takes |
        | `53400` | `limit_exceeded` | a limit that the server was configured with, such as Redis's maxmemory |
        | `54` | `limit_exceeded` | a limit of the engine: nesting, lengths, numbers of columns |
        | `55P03` | `busy` | a lock that could not be had, or a server that is busy |
        | `57014` | `cancelled` | a statement that was stopped; `timeout` if it was for its time |
        | `57P01` `57P02` `57P03` `57P04` `57P05` | `connect_failed` | a server that stops, starts or ends the \
        connection |

        """

    static func title(ofFamily family: Int) -> String {
        switch family {
        case 1: "frame and protocol"
        case 2: "request"
        case 3: "access and limits"
        case 4: "driver and connection"
        case 5: "the database said no"
        default: "internal"
        }
    }
}
