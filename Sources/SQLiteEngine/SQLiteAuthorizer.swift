// What a statement may do, decided while it is prepared (https://sqlite.org/c3ref/set_authorizer.html). Read-only
// access does not depend on this file alone: readers are opened read-only and have `query_only` set.

internal import CSQLite
internal import DatabaseContract
internal import Glibc

/// What the authorizer has found in the statement that is being prepared.
struct SQLiteAuthorization {
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE.
    var controlsTransaction = false
    /// COMMIT, or RELEASE, which may be one.
    var mayCommit = false
    /// The table into which it inserts rows itself, not only by triggers.
    var insertTarget: String?
    /// What it changes, triggers and foreign keys included.
    var changes = StatementChanges()
    /// Names of the attached files that it changes, triggers included.
    var attachedWrites: [String] = []
    /// Sets `user_version` or `application_id` of the main database.
    var changesNumbers = false
    /// Does something by a trigger.
    var runsTriggers = false
    /// Inserts, updates or deletes rows itself.
    var modifiesRows = false
    /// SQLite prepares a PRAGMA again for each run (sqlite3VdbeRunOnlyOnce in src/vdbeaux.c).
    var runsOnce = false
    /// Creates, alters or drops a part of a schema.
    var changesSchema = false
    /// A PRAGMA that reads the whole file, in one step that cannot be interrupted.
    var checksFile = false
    /// PRAGMA wal_checkpoint.
    var isCheckpoint = false
    /// The cost of its function calls in all, in nanoseconds for each byte of a value.
    var functionNanosecondsPerByte = 0
    /// Calls `count`, which may scan a whole table in one step.
    var countsRows = false
    /// Comparisons with LIKE or GLOB.
    var patternCallCount = 0
    /// Calls a function that is too slow for a loop.
    var callsSlowFunction = false
    /// A PRAGMA that was denied because of the value that it would set.
    var refusedSetting: (name: String, value: String)?
    /// Why the statement was denied.
    var denial: DriverError?

    /// It changes something of a file.
    fileprivate mutating func noteWrite(into schema: UnsafePointer<CChar>?) {
        guard let schema, strcasecmp(schema, "main") != 0, strcasecmp(schema, "temp") != 0 else { return }
        let name = String(cString: schema)
        if !attachedWrites.contains(name) { attachedWrites.append(name) }
    }
}

/// Called by SQLite for every action of a statement while it is compiled.
let sqliteAuthorizerCallback:
    @convention(c) (
        UnsafeMutableRawPointer?, Int32, UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?,
        UnsafePointer<CChar>?
    ) -> Int32 = { context, action, first, second, schema, trigger in
        guard let context else { return SQLITE_DENY }
        return Unmanaged<SQLiteConnection>.fromOpaque(context)._withUnsafeGuaranteedRef { connection in
            connection.authorize(action, first, second, schema, isInTrigger: trigger != nil)
        }
    }

extension SQLiteConnection {
    fileprivate func authorize(
        _ action: Int32, _ first: UnsafePointer<CChar>?, _ second: UnsafePointer<CChar>?,
        _ schema: UnsafePointer<CChar>?,
        isInTrigger: Bool
    ) -> Int32 {
        if isOwnStatement { return SQLITE_OK }
        // SQLite looks for each name in all columns, and allocates little meanwhile.
        if isPreparing, mustStop() { return SQLITE_DENY }
        if isInTrigger { authorization.runsTriggers = true }
        // The schema has changed, and SQLite prepares the statement again while it is stepped. The cost of that, and of
        // the new program, is unknown, so not on a loop.
        if isOnLoop, !isPreparing {
            mustPrepareAgain = true
            return SQLITE_DENY
        }
        if changesTemporarySchema(action, first, schema), !isSession {
            return authorizeSessionOnly("A temporary object")
        }
        if Self.schemaChanges.contains(action) {
            if isPreparing { authorization.changesSchema = true }
            authorization.changes.note(schemaChange: action, first, second, schema)
            // New statistics and sorted indexes are no content.
            if action != SQLITE_ANALYZE, action != SQLITE_REINDEX, !StatementChanges.isOfMoveMark(action, first) {
                authorization.noteWrite(into: action == SQLITE_ALTER_TABLE ? first : schema)
            }
        }
        switch action {
        case SQLITE_TRANSACTION, SQLITE_SAVEPOINT: return authorizeTransaction(first)
        case SQLITE_ATTACH: return authorizeAttach(first.map { String(cString: $0) })
        case SQLITE_DETACH: return authorizeSessionOnly("DETACH")
        case SQLITE_PRAGMA: return authorizePragma(first, second, schema)
        case SQLITE_CREATE_TEMP_TABLE, SQLITE_CREATE_TEMP_VIEW, SQLITE_CREATE_TEMP_TRIGGER, SQLITE_CREATE_TEMP_INDEX:
            return authorizeSessionOnly("A temporary object")
        case SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE:
            authorization.changes.note(rowsOf: first, schema)
            if let first, strncasecmp(first, "sqlite_", 7) != 0 { authorization.noteWrite(into: schema) }
            if !isInTrigger, let first, !String(cString: first).hasPrefix("sqlite_") {
                authorization.modifiesRows = true
                if action == SQLITE_INSERT {
                    authorization.insertTarget = authorization.insertTarget ?? String(cString: first)
                }
            }
            return SQLITE_OK
        case SQLITE_FUNCTION: return authorizeFunction(second.map { String(cString: $0) } ?? "")
        default: return SQLITE_OK
        }
    }

    /// https://sqlite.org/c3ref/c_alter_table.html
    private static let schemaChanges: Set<Int32> = [
        SQLITE_CREATE_INDEX, SQLITE_CREATE_TABLE, SQLITE_CREATE_TRIGGER, SQLITE_CREATE_VIEW, SQLITE_CREATE_VTABLE,
        SQLITE_CREATE_TEMP_INDEX, SQLITE_CREATE_TEMP_TABLE, SQLITE_CREATE_TEMP_TRIGGER, SQLITE_CREATE_TEMP_VIEW,
        SQLITE_DROP_INDEX, SQLITE_DROP_TABLE, SQLITE_DROP_TRIGGER, SQLITE_DROP_VIEW, SQLITE_DROP_VTABLE,
        SQLITE_DROP_TEMP_INDEX, SQLITE_DROP_TEMP_TABLE, SQLITE_DROP_TEMP_TRIGGER, SQLITE_DROP_TEMP_VIEW,
        SQLITE_ALTER_TABLE, SQLITE_REINDEX, SQLITE_ANALYZE,
    ]

    private var isSession: Bool { if case .session = role { true } else { false } }

    /// Every change of the schema `temp`, in any of its spellings, stays with the connection. (ALTER TABLE and DROP
    /// read `sqlite_temp_schema` by statements of their own.)
    private func changesTemporarySchema(
        _ action: Int32, _ first: UnsafePointer<CChar>?, _ schema: UnsafePointer<CChar>?
    ) -> Bool {
        switch action {
        case SQLITE_READ, SQLITE_SELECT, SQLITE_FUNCTION, SQLITE_PRAGMA, SQLITE_RECURSIVE, SQLITE_TRANSACTION,
            SQLITE_SAVEPOINT, SQLITE_ATTACH, SQLITE_DETACH:
            return false
        case SQLITE_UPDATE, SQLITE_DELETE:
            if let first, strncasecmp(first, "sqlite_", 7) == 0 { return false }
        default: break
        }
        let name = action == SQLITE_ALTER_TABLE ? first : schema
        return name.map { strcasecmp($0, "temp") == 0 } ?? false
    }

    private func authorizeFunction(_ name: String) -> Int32 {
        guard let cost = SQLiteFunctions.cost(name) else {
            return deny("The function \(name) may not be called by clients.")
        }
        authorization.functionNanosecondsPerByte += cost.nanosecondsPerByte
        switch cost {
        case .pattern: authorization.patternCallCount += 1
        case .wholeTable: authorization.countsRows = true
        case .slow: authorization.callsSlowFunction = true
        case .constant, .linear, .heavy: break
        }
        return SQLITE_OK
    }

    private func authorizeTransaction(_ operation: UnsafePointer<CChar>?) -> Int32 {
        // VACUUM runs its own statements, BEGIN among them, while it is stepped (vacuum.c).
        if !isPreparing { return SQLITE_OK }
        authorization.controlsTransaction = true
        authorization.mayCommit = operation.map { strcmp($0, "COMMIT") == 0 || strcmp($0, "RELEASE") == 0 } ?? true
        if case .session = role { return SQLITE_OK }
        authorization.denial = DriverError(
            .needsSession, "A transaction needs a session.",
            remedy: .openSession, sqlState: "25000")
        return SQLITE_DENY
    }

    private func authorizeSessionOnly(_ what: String) -> Int32 {
        if case .session = role { return SQLITE_OK }
        authorization.denial = DriverError(
            .needsSession, "\(what) belongs to one connection and needs a session.",
            remedy: .openSession, sqlState: "25000")
        return SQLITE_DENY
    }

    /// ATTACH, and VACUUM with its temporary file (an empty name), which it attaches itself. `file` is `nil` if the
    /// name is an expression, whose value can be anything.
    private func authorizeAttach(_ file: String?) -> Int32 {
        // VACUUM does so while it is stepped (src/vacuum.c); a file that a client names stays with its connection.
        if file == "", !isPreparing { return SQLITE_OK }
        guard case .session(let owner, let isReadOnly) = role else {
            return authorizeSessionOnly("ATTACH or VACUUM INTO")
        }
        if file == "" { return SQLITE_OK }
        if !owner.mayOpenFiles { return deny("Only the user whom the daemon runs as may name files.") }
        // SQLite opens attached files for writing, even if the main database was opened for reading.
        if isReadOnly && file != ":memory:" { return deny("A read-only session cannot attach files.") }
        return SQLITE_OK
    }

    private func deny(_ message: String) -> Int32 {
        authorization.denial = DriverError(.permissionDenied, message, sqlState: "42501")
        return SQLITE_DENY
    }

    private func authorizePragma(
        _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?, _ schema: UnsafePointer<CChar>?
    ) -> Int32 {
        guard let name else { return SQLITE_DENY }
        authorization.runsOnce = true
        if SQLitePragmas.checksFile(String(cString: name)) { authorization.checksFile = true }
        if strcasecmp(name, "wal_checkpoint") == 0 { authorization.isCheckpoint = true }
        if value != nil, SQLitePragmas.setsNumber(String(cString: name)) {
            authorization.noteWrite(into: schema)
            if schema.map({ strcasecmp($0, "main") == 0 }) ?? true { authorization.changesNumbers = true }
        }
        switch SQLitePragmas.rule(String(cString: name), hasValue: value != nil) {
        case .allowed: return SQLITE_OK
        case .session:
            if case .session = role { return SQLITE_OK }
            return authorizeSessionOnly("This PRAGMA")
        case .writableSession:
            if case .session(_, isReadOnly: false) = role, options.mode != .readOnly { return SQLITE_OK }
            return deny("This PRAGMA cannot be set here.")
        case .denied:
            let name = String(cString: name)
            let isMain = schema.map { strcasecmp($0, "main") == 0 } ?? true
            if let value, isMain, SQLitePragmas.rule(name, hasValue: false) == .allowed {
                authorization.refusedSetting = (name.lowercased(), String(cString: value))
            }
            return deny("This PRAGMA is set by the daemon and cannot be changed.")
        }
    }
}
