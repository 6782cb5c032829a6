// What a statement may do, decided while it is prepared (https://sqlite.org/c3ref/set_authorizer.html). Read-only access
// does not rest on this file alone: readers are opened read-only and have `query_only` set.

internal import CSQLite

/// What the authorizer saw of the statement that is being prepared.
struct SQLiteAuthorization {
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE.
    var controlsTransaction = false
    /// Inserts rows by itself, not only by triggers.
    var insertsRows = false
    /// Inserts, updates or deletes rows by itself.
    var modifiesRows = false
    /// A PRAGMA that looks at the whole file, in one step that cannot be interrupted.
    var checksFile = false
    /// Why the statement was denied.
    var denial: DriverError?
}

/// Called by SQLite for every action of a statement while it is compiled.
let sqliteAuthorizerCallback:
    @convention(c) (
        UnsafeMutableRawPointer?, Int32, UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?,
        UnsafePointer<CChar>?
    ) -> Int32 = { context, action, first, second, _, trigger in
        guard let context else { return SQLITE_DENY }
        return Unmanaged<SQLiteConnection>.fromOpaque(context)._withUnsafeGuaranteedRef { connection in
            connection.authorize(action, first, second, isInTrigger: trigger != nil)
        }
    }

extension SQLiteConnection {
    fileprivate func authorize(
        _ action: Int32, _ first: UnsafePointer<CChar>?, _ second: UnsafePointer<CChar>?, isInTrigger: Bool
    ) -> Int32 {
        if isOwnStatement { return SQLITE_OK }
        switch action {
        case SQLITE_TRANSACTION, SQLITE_SAVEPOINT: return authorizeTransaction()
        case SQLITE_ATTACH: return authorizeAttach(first.map { String(cString: $0) })
        case SQLITE_DETACH: return authorizeSessionOnly("DETACH")
        case SQLITE_PRAGMA: return authorizePragma(first, second)
        case SQLITE_CREATE_TEMP_TABLE, SQLITE_CREATE_TEMP_VIEW, SQLITE_CREATE_TEMP_TRIGGER, SQLITE_CREATE_TEMP_INDEX:
            return authorizeSessionOnly("A temporary object")
        case SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE:
            if !isInTrigger, let first, !String(cString: first).hasPrefix("sqlite_") {
                authorization.modifiesRows = true
                if action == SQLITE_INSERT { authorization.insertsRows = true }
            }
            return SQLITE_OK
        case SQLITE_FUNCTION:
            // The SQL function would load code; the C function stays off as well (SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION).
            guard let second, String(cString: second) == "load_extension" else { return SQLITE_OK }
            return deny("Extensions cannot be loaded.")
        default: return SQLITE_OK
        }
    }

    private func authorizeTransaction() -> Int32 {
        // VACUUM runs statements of its own, BEGIN among them, while it is stepped (vacuum.c).
        if !isPreparing { return SQLITE_OK }
        authorization.controlsTransaction = true
        if case .session = role { return SQLITE_OK }
        authorization.denial = DriverError(
            .needsSession, "A transaction needs a session.",
            hint: "Open one with db_connect and send its session with each statement.", sqlState: "25000")
        return SQLITE_DENY
    }

    private func authorizeSessionOnly(_ what: String) -> Int32 {
        if case .session = role { return SQLITE_OK }
        authorization.denial = DriverError(
            .needsSession, "\(what) belongs to one connection and needs a session.",
            hint: "Open one with db_connect and send its session with each statement.", sqlState: "25000")
        return SQLITE_DENY
    }

    /// ATTACH, and VACUUM with its temporary file (an empty name), which attaches by itself.
    /// `file` is `nil` where the name is an expression, and so may be any.
    private func authorizeAttach(_ file: String?) -> Int32 {
        if file == "" { return SQLITE_OK }
        guard case .session(let owner, let isReadOnly) = role else {
            return authorizeSessionOnly("ATTACH or VACUUM INTO")
        }
        if !owner.mayOpenFiles { return deny("Only the user whom the daemon runs as may name files.") }
        // SQLite opens attached files for writing, whatever the main database was opened for.
        if isReadOnly && file != ":memory:" { return deny("A read-only session cannot attach files.") }
        return SQLITE_OK
    }

    private func deny(_ message: String) -> Int32 {
        authorization.denial = DriverError(.permissionDenied, message, sqlState: "42501")
        return SQLITE_DENY
    }

    private func authorizePragma(_ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?) -> Int32 {
        guard let name else { return SQLITE_DENY }
        if SQLitePragmas.checksFile(String(cString: name)) { authorization.checksFile = true }
        switch SQLitePragmas.rule(String(cString: name), hasValue: value != nil) {
        case .allowed: return SQLITE_OK
        case .session:
            if case .session = role { return SQLITE_OK }
            return authorizeSessionOnly("This PRAGMA")
        case .writableSession:
            if case .session(_, isReadOnly: false) = role, options.mode != .readOnly { return SQLITE_OK }
            return deny("This PRAGMA cannot be set here.")
        case .denied: return deny("This PRAGMA is set by the daemon and cannot be changed.")
        }
    }
}

/// Which PRAGMA may be used where (https://sqlite.org/pragma.html).
enum SQLitePragmas {
    enum Rule { case allowed, session, writableSession, denied }

    /// Only read, whatever their argument.
    private static let introspection: Set<String> = [
        "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
        "foreign_key_check", "integrity_check", "quick_check", "database_list", "collation_list", "function_list",
        "module_list", "pragma_list", "compile_options",
    ]
    /// Change the file as a write does, not the connection.
    private static let persistent: Set<String> = [
        "user_version", "application_id", "optimize", "incremental_vacuum", "wal_checkpoint", "auto_vacuum", "encoding",
    ]
    /// The daemon's durability, isolation and safety rest on these, or they reach beyond the connection.
    private static let fixed: Set<String> = [
        "journal_mode", "locking_mode", "synchronous", "temp_store_directory", "data_store_directory",
        "hard_heap_limit", "soft_heap_limit", "trusted_schema", "writable_schema", "mmap_size", "threads",
        "legacy_file_format", "schema_version", "journal_size_limit", "fullfsync", "checkpoint_fullfsync",
        "wal_autocheckpoint", "busy_timeout", "page_size", "max_page_count", "shrink_memory",
    ]

    static func checksFile(_ name: String) -> Bool {
        ["integrity_check", "quick_check", "foreign_key_check"].contains(name.lowercased())
    }

    static func rule(_ name: String, hasValue: Bool) -> Rule {
        let name = name.lowercased()
        if introspection.contains(name) || persistent.contains(name) { return .allowed }
        if fixed.contains(name) { return hasValue ? .denied : .allowed }
        if !hasValue { return .allowed }
        return name == "query_only" ? .writableSession : .session
    }
}
