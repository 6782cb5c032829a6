// Settings of the whole library, before the first connection.

internal import CSQLite

/// The SQLite library in this process.
public enum SQLiteLibrary {
    /// Sets up the library, before anything else uses it and before threads are started.
    ///
    /// Its memory is counted by ourselves (SQLiteMemory.swift), since its own statistics would take a global lock for each allocation
    /// (https://sqlite.org/c3ref/c_config_covering_index_scan.html, SQLITE_CONFIG_MEMSTATUS).
    public static func configure() { isConfigured }

    /// Once: a layer on top of itself would have no end.
    private static let isConfigured: Void = {
        _ = litebase_sqlite3_config_int(SQLITE_CONFIG_MEMSTATUS, 0)
        SQLiteMemory.install()
        sqlite3_initialize()
        SQLiteMemory.installFiles()
    }()

    /// Version of the library that is loaded, such as "3.40.1".
    public static var version: String { String(cString: sqlite3_libversion()) }
}
