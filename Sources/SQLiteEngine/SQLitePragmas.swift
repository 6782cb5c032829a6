// Which PRAGMA may be used where (https://sqlite.org/pragma.html). Others are refused: a newer library may have PRAGMAs
// that nobody has examined.

internal import DatabaseContract

/// The rule for each PRAGMA.
enum SQLitePragmas {
    enum Rule { case allowed, session, writableSession, denied }

    /// Those that only read, whatever their argument.
    private static let introspection: Set<String> = [
        "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
        "foreign_key_check", "integrity_check", "quick_check", "database_list", "collation_list", "function_list",
        "module_list", "pragma_list", "compile_options", "data_version", "freelist_count", "page_count",
    ]
    /// Those that change the file as a write does, not the connection.
    private static let persistent: Set<String> = [
        "user_version", "application_id", "optimize", "incremental_vacuum", "wal_checkpoint", "auto_vacuum", "encoding",
    ]
    /// Those that may be read but not set: the daemon's durability, isolation and safety depend on them, or they affect
    /// more than the connection.
    private static let fixed: Set<String> = [
        "journal_mode", "locking_mode", "synchronous", "temp_store_directory", "data_store_directory",
        "hard_heap_limit", "soft_heap_limit", "trusted_schema", "writable_schema", "mmap_size", "threads",
        "legacy_file_format", "schema_version", "journal_size_limit", "fullfsync", "checkpoint_fullfsync",
        "wal_autocheckpoint", "busy_timeout", "page_size", "max_page_count", "shrink_memory", "default_cache_size",
    ]
    /// Those that may be set in a session, which has a connection of its own.
    private static let settings: Set<String> = [
        "analysis_limit", "automatic_index", "cache_size", "cache_spill", "case_sensitive_like", "cell_size_check",
        "count_changes", "defer_foreign_keys", "empty_result_callbacks", "foreign_keys", "full_column_names",
        "ignore_check_constraints", "legacy_alter_table", "query_only", "read_uncommitted", "recursive_triggers",
        "reverse_unordered_selects", "secure_delete", "short_column_names", "temp_store",
    ]

    static func checksFile(_ name: String) -> Bool {
        ["integrity_check", "quick_check", "foreign_key_check"].contains(name.lowercased())
    }

    /// Whether its value is a number in the file's header that programs keep there.
    static func setsNumber(_ name: String) -> Bool { ["user_version", "application_id"].contains(name.lowercased()) }

    /// Whether two spellings of a PRAGMA's value are equal: `on`, `ON` and `1`, or `FULL` and `2` of `synchronous`.
    static func areSame(_ name: String, _ value: String, _ other: String) -> Bool {
        func number(_ value: String) -> String {
            let value = value.lowercased()
            switch value {
            case "off", "false", "no": return "0"
            case "on", "true", "yes": return "1"
            case "normal" where name == "synchronous": return "1"
            case "full" where name == "synchronous": return "2"
            case "extra" where name == "synchronous": return "3"
            default: return value
            }
        }
        return number(value) == number(other)
    }

    static func rule(_ name: String, hasValue: Bool) -> Rule {
        let name = name.lowercased()
        if introspection.contains(name) || persistent.contains(name) { return .allowed }
        if fixed.contains(name) { return hasValue ? .denied : .allowed }
        guard settings.contains(name) else { return .denied }
        if !hasValue { return .allowed }
        return name == "query_only" ? .writableSession : .session
    }
}
