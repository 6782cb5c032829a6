// The meaning of SQLite's result codes for clients: a code of the protocol, an SQLSTATE, a hint.

internal import CSQLite
internal import CSQLiteFiles
internal import DatabaseContract
internal import Glibc
internal import LinuxSystem

/// Translation of result codes (https://sqlite.org/rescode.html).
enum SQLiteErrors {
    private struct Meaning {
        var code: DriverError.Code
        var sqlState: String
        var hint: String?
        var isRetryable = false

        init(
            code: DriverError.Code? = nil, sqlState: String, hint: String? = nil, isRetryable: Bool = false
        ) {
            self.code = code ?? ErrorConditions.code(sqlState)
            self.sqlState = sqlState
            self.hint = hint
            self.isRetryable = isRetryable
        }
    }

    /// SQLITE_READONLY_DBMOVED, which Swift does not import.
    static let movedFile = SQLITE_READONLY | (4 << 8)
    /// SQLITE_READONLY_ROLLBACK.
    private static let readOnlyRollback = SQLITE_READONLY | (3 << 8)

    /// The error of the last call on `handle`, which returned `result`.
    static func error(_ handle: OpaquePointer?, _ result: Int32) -> DriverError {
        let last = handle.map { sqlite3_extended_errcode($0) } ?? result
        // Where the failure is none of the connection's own, it has no words for it but "not an error".
        let isKnown = ![SQLITE_OK, SQLITE_ROW, SQLITE_DONE].contains(last & 0xff)
        let extended = isKnown ? last : result
        // With a rollback journal SQLite looks itself whether the file is still at its path, before it writes.
        if extended == Self.movedFile { return .databaseReplaced }
        let message = isKnown ? handle.flatMap { sqlite3_errmsg($0) } ?? sqlite3_errstr(result) : sqlite3_errstr(result)
        let words = message.map(text) ?? "unknown error"
        if let name = tooLongDefinition(words) { return definitionTooLong(name) }
        let made = error(extended, words)
        if extended & 0xff == SQLITE_FULL, let handle, let limit = SQLiteMemory.databaseLimit(handle) {
            return made.code == .limitExceeded ? made : made.with { SQLiteMemory.explain(databaseLimit: limit, &$0) }
        }
        if extended & 0xff == SQLITE_CANTOPEN, made.details.detail == nil, let handle {
            return made.with { explain(systemError: sqlite3_system_errno(handle), &$0) }
        }
        guard extended & 0xff == SQLITE_TOOBIG, let handle else { return made }
        let limit = sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, -1)
        return made.with {
            $0.message = "A value or a statement is longer than \(limit) bytes (row_bytes_max)."
            $0.hint = "Take parts of it with substr(), or raise limits.row_bytes_max."
            $0.limit = DriverLimit(name: "row_bytes_max", value: Int64(limit))
        }
    }

    /// The object whose definition was too long to be read: to SQLite that is a damage, or a long value.
    /// - Source: corruptSchema() in src/prepare.c of SQLite 3.40
    private static func tooLongDefinition(_ message: String) -> Substring? {
        let start = "malformed database schema (", end = ") - string or blob too big"
        guard message.hasPrefix(start), message.hasSuffix(end) else { return nil }
        return message.dropFirst(start.count).dropLast(end.count)
    }

    /// Another program has given the file content with another text encoding, which a connection that is open does not take; or a
    /// file with another one was to be attached.
    /// - Source: sqlite3InitOne() in src/prepare.c and attachFunc() in src/attach.c of SQLite 3.40
    private static let otherEncoding = "attached databases must use the same text encoding as main database"

    static func isOfEncoding(_ handle: OpaquePointer) -> Bool {
        sqlite3_errmsg(handle).map { strcmp($0, otherEncoding) == 0 } ?? false
    }

    /// SQLite says that a file cannot be opened, and not why.
    private static func explain(systemError number: Int32, _ details: inout DriverError.Details) {
        if number == 0 { return }
        let error = Errno(number)
        details.detail = "\(error)."
        switch error {
        case .permissionDenied, .notPermitted:
            details.hint = "The daemon's user has to be able to read and write the file, and its directory."
        // A service with a root directory of its own has no other directories, or what is left of one there, which is empty.
        case .noSuchFile, .readOnlyFileSystem:
            details.hint =
                "Check that the file's directory is there. litebase.service sees other directories than its own only by a "
                + "drop-in with BindPaths=."
        default: break
        }
    }

    /// SQLite puts names and values into its messages, of any length: a client that asks for many such errors would have them all
    /// written for it.
    private static let messageByteCountMax = 4 << 10

    private static func text(_ message: UnsafePointer<CChar>) -> String {
        let byteCount = boundedByteCount(of: message, messageByteCountMax + 1)
        let bytes = UnsafeRawBufferPointer(start: message, count: byteCount)
        return byteCount > messageByteCountMax
            ? DriverError.cut(bytes, byteCountMax: messageByteCountMax) : String(decoding: bytes, as: UTF8.self)
    }

    static func error(_ extended: Int32, _ message: String) -> DriverError {
        let extended = isMistake(extended, message) ? SQLITE_ERROR : extended
        let meaning = meaning(extended, message)
        var details = DriverError.Details(
            code: meaning.code, message: isOwnText(extended) ? message : DriverError.sentence(message),
            hint: meaning.hint,
            sqlState: meaning.sqlState,
            vendorCode: extended, isRetryable: meaning.isRetryable)
        if extended & 0xff == SQLITE_NOMEM, AllocationGuard.refusal == .stack { return nestedTooDeeply }
        let isForRoom = [SQLITE_NOMEM, SQLITE_FULL, SQLITE_IOERR].contains(extended & 0xff)
        if isForRoom, SQLiteMemory.explainRefusal(&details) { return DriverError(details) }
        // The reason why a file was refused belongs to this thread's next error, or to none.
        var remedy: UnsafePointer<CChar>?
        if let refusal = litebase_sqlite3_take_refusal(&remedy), extended & 0xff == SQLITE_CANTOPEN {
            details.detail = String(cString: refusal)
            if let remedy { details.hint = String(cString: remedy) }
        }
        if let limit = SQLiteLimit.all.first(where: { $0.isMeant(extended, message) }) { limit.explain(&details) }
        return DriverError(details)
    }

    /// SQLite recurses for it, and no stack is left.
    static let nestedTooDeeply = DriverError(
        .limitExceeded, "The statement, or what it uses, is nested too deeply.",
        hint: "Use fewer levels of views, WITH, triggers and subqueries; a temporary table can hold what is between.",
        sqlState: "54001")

    static let programTooLong = DriverError(
        .limitExceeded,
        "The statement needs more than \(SQLiteLimit.programStepCountMax) steps of SQLite's virtual machine "
            + "(sqlite_program_steps_max, of SQLite).",
        hint: "Do it in several statements, or by a temporary table; see SQLITE in litebase.toml(5).", sqlState: "54001"
    ).with { $0.limit = DriverLimit(name: "sqlite_program_steps_max", value: Int64(SQLiteLimit.programStepCountMax)) }

    static let tooLongToPrepare = DriverError(
        .limitExceeded, "The statement is so complex that preparing it would keep other writers waiting.",
        hint: "Run it in a session, or write what it reads into a temporary table first.", sqlState: "54001")

    private static func definitionTooLong(_ name: Substring) -> DriverError {
        DriverError(
            .limitExceeded,
            "The definition of \(name) is longer than \(SQLiteBudget.schemaTextByteCountMax) bytes "
                + "(sqlite_definition_bytes_max, of SQLite).",
            hint: "Make it shorter; where a file has it already, with sqlite3, which reads it: the file is sound.",
            sqlState: "54000"
        ).with {
            $0.limit = DriverLimit(
                name: "sqlite_definition_bytes_max", value: Int64(SQLiteBudget.schemaTextByteCountMax))
        }
    }

    /// A value that is too large for a statement of this size while the write lock is held.
    static func tooLargeForWriting(_ byteCount: Int32) -> DriverError {
        DriverError(
            .limitExceeded,
            "A value is longer than \(byteCount) bytes, which is the most for a statement that writes and computes so much.",
            hint: "Write with fewer functions and expressions, or in parts; others wait for the lock meanwhile.",
            sqlState: "54000")
    }

    /// Whether a pattern was longer than SQLITE_LIMIT_LIKE_PATTERN_LENGTH (likeFunc in src/func.c).
    static func isPatternTooLong(_ handle: OpaquePointer, _ result: Int32) -> Bool {
        result & 0xff == SQLITE_ERROR
            && text(sqlite3_errmsg(handle)).hasPrefix("LIKE or GLOB pattern too complex")
    }

    /// Before SQLite reports a missing name, it checks whether the schema is still the one that it has read, and takes
    /// a schema that it has never read for a changed one: SQLITE_SCHEMA, however often it is tried. The message is then
    /// the statement's own.
    /// - Source: schemaIsValid() in src/prepare.c of SQLite 3.40
    private static func isMistake(_ extended: Int32, _ message: String) -> Bool {
        guard extended & 0xff == SQLITE_SCHEMA, let own = sqlite3_errstr(SQLITE_SCHEMA) else { return false }
        return message != String(cString: own)
    }

    /// The text of RAISE() was written by the author of the trigger
    /// (https://sqlite.org/rescode.html#constraint_trigger).
    private static func isOwnText(_ extended: Int32) -> Bool { extended == SQLITE_CONSTRAINT | 7 << 8 }

    private static func meaning(_ extended: Int32, _ message: String) -> Meaning {
        switch extended & 0xff {
        case SQLITE_ERROR: return generic(message)
        case SQLITE_CONSTRAINT: return Meaning(code: .constraintViolation, sqlState: constraint(extended))
        case SQLITE_READONLY where extended == readOnlyRollback:
            return Meaning(
                code: .readOnly, sqlState: "25006",
                hint:
                    "A transaction of another program is under way, or was cut off: try again. If it stays so, have a program "
                    + "that may write the file open it.", isRetryable: true)
        case SQLITE_READONLY:
            return Meaning(
                code: .readOnly, sqlState: "25006",
                hint:
                    "Either you may only read here (the list of databases says so, you asked for it, or it is an export), "
                    + "or the daemon may not write the file and its directory.")
        case SQLITE_BUSY: return busy(extended)
        case SQLITE_LOCKED:
            return Meaning(
                code: .busy, sqlState: "55P03", hint: "Another statement uses the table; try again.", isRetryable: true)
        case SQLITE_INTERRUPT, SQLITE_ABORT: return Meaning(code: .cancelled, sqlState: "57014")
        case SQLITE_TOOBIG: return Meaning(code: .limitExceeded, sqlState: "54000")
        case SQLITE_FULL:
            return Meaning(code: .databaseError, sqlState: "53100", hint: "The disk is full: free some space.")
        case SQLITE_NOMEM: return Meaning(code: .databaseError, sqlState: "53200")
        case SQLITE_CANTOPEN:
            return Meaning(
                code: .connectFailed, sqlState: "58030", hint: "Check that the file exists and may be opened.")
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            return Meaning(
                code: .databaseError, sqlState: "XX001",
                hint: "The file is damaged or not a database: restore a backup.")
        case SQLITE_IOERR: return Meaning(code: .databaseError, sqlState: "58030")
        case SQLITE_AUTH, SQLITE_PERM: return Meaning(code: .permissionDenied, sqlState: "42501")
        case SQLITE_MISMATCH: return Meaning(code: .databaseError, sqlState: "42804")
        case SQLITE_RANGE: return Meaning(code: .badRequest, sqlState: "07001")
        case SQLITE_SCHEMA:
            return Meaning(
                code: .databaseError, sqlState: "55000", hint: "The schema changed; try again.", isRetryable: true)
        default: return Meaning(code: .databaseError, sqlState: "HY000")
        }
    }

    /// SQLITE_ERROR has no extended codes; the fixed beginnings of messages are the only source (parse.y, resolve.c,
    /// build.c).
    private static func generic(_ message: String) -> Meaning {
        let starts: [(prefix: String, sqlState: String)] = [
            ("no such table", "42P01"), ("no such view", "42P01"), ("no such column", "42703"),
            ("no such function", "42883"), ("no such index", "42704"), ("no such collation", "42704"),
            ("no such savepoint", "3B001"), ("ambiguous column", "42702"),
            ("cannot start a transaction within", "25001"), ("cannot commit", "25P01"), ("cannot rollback", "25P01"),
            ("cannot VACUUM", "25001"), ("too many", "54000"), ("duplicate column name", "42701"),
            ("integer overflow", "22003"), ("malformed JSON", "22032"),
        ]
        if let known = starts.first(where: { message.hasPrefix($0.prefix) }) {
            return Meaning(sqlState: known.sqlState)
        }
        if message == otherEncoding {
            return Meaning(
                sqlState: "55000",
                hint:
                    "If another program has replaced the content of the file: send it again, in a session open another one. "
                    + "A file that is attached needs the encoding of the main one (PRAGMA encoding).")
        }
        if message.containsBytes(of: "has no column named") { return Meaning(sqlState: "42703") }
        if message.hasSuffix("already exists") { return Meaning(sqlState: "42P07") }
        if message.hasSuffix("syntax error") || message.hasPrefix("incomplete input")
            || message.hasPrefix("unrecognized token")
        {
            return Meaning(sqlState: "42601")
        }
        return Meaning(sqlState: "HY000")
    }

    /// The error of preparing `sql`, with its place.
    static func ofPreparing(_ sql: UnsafeRawBufferPointer, _ handle: OpaquePointer, _ result: Int32) -> DriverError {
        let error = uncompilable(error(handle, result))
        let offset = sqlite3_error_offset(handle)
        return offset < 0 ? error : error.with { $0.place = TextPlace(Int(offset), in: sql) }
    }

    /// An error of preparing for which SQLite has no finer code: it cannot compile the statement.
    private static func uncompilable(_ error: DriverError) -> DriverError {
        guard error.details.sqlState == "HY000", error.details.vendorCode == SQLITE_ERROR else { return error }
        return error.with {
            $0.sqlState = "42000"
            $0.code = ErrorConditions.code("42000")
        }
    }

    private static func constraint(_ extended: Int32) -> String {
        switch extended >> 8 {
        case 3: "23503"  // SQLITE_CONSTRAINT_FOREIGNKEY
        case 5: "23502"  // SQLITE_CONSTRAINT_NOTNULL
        case 6, 8, 10: "23505"  // PRIMARYKEY, UNIQUE, ROWID
        case 1: "23514"  // SQLITE_CONSTRAINT_CHECK
        case 7: "P0001"  // SQLITE_CONSTRAINT_TRIGGER: RAISE() in a trigger
        case 12: "23514"  // SQLITE_CONSTRAINT_DATATYPE: a STRICT table
        default: "23000"
        }
    }

    private static func busy(_ extended: Int32) -> Meaning {
        // SQLITE_BUSY_SNAPSHOT: the transaction read before somebody else wrote; waiting cannot help.
        if extended >> 8 == 2 {
            return Meaning(
                code: .busy, sqlState: "40001",
                hint: "Roll back and start again; begin with BEGIN IMMEDIATE when the transaction will write.",
                isRetryable: true)
        }
        return Meaning(
            code: .busy, sqlState: "55P03", hint: "Somebody else has the lock; try again.", isRetryable: true)
    }
}

extension DriverError {
    /// SQLite has rolled back a session's transaction while a statement was prepared.
    static let transactionLost = DriverError(
        .transactionRolledBack,
        "SQLite rolled the transaction back when it could not read the schema in time; the statement was not run.",
        hint: "Repeat the transaction from its start.", sqlState: "40000"
    ).with { $0.isRetryable = true }
}

extension DriverError {
    /// A copy of a database that the first statement would make.
    static let noFileYet = DriverError(
        .databaseError, "The database has no file, of which there could be a copy.",
        hint: "See whether its disk is there; else the first statement makes it.", sqlState: "58P01")
}
