// Settings of the whole library, before the first connection.

internal import CSQLite
internal import CSQLiteFiles
internal import CSQLitePages
internal import DatabaseContract

/// The SQLite library in this process.
public enum SQLiteLibrary {
    /// Sets up the library, before anything else uses it and before threads are started.
    ///
    /// The daemon counts its memory itself (SQLiteMemory.swift), since SQLite's own statistics would take a global lock
    /// for each allocation (https://sqlite.org/c3ref/c_config_covering_index_scan.html, SQLITE_CONFIG_MEMSTATUS).
    public static func configure() { isConfigured }

    /// Once, although tests have several servers in one process: a layer over itself would recurse without end.
    private static let isConfigured: Void = {
        _ = litebase_sqlite3_config_int(SQLITE_CONFIG_MEMSTATUS, 0)
        _ = litebase_sqlite3_config_no_mapping()
        // Under the layer that charges caches.
        _ = litebase_keep_pages()
        SQLiteMemory.install()
        sqlite3_initialize()
        precondition(
            litebase_sqlite3_guard_files() == SQLITE_OK,
            "SQLite's file system is not the one for which CSQLiteFiles was made")
        // The VFS that counts temporary files is above the one that guards files.
        SQLiteMemory.installFiles()
    }()

    /// Whether programs of statements have the form of which `TableProgram` knows: it may change with any version.
    static let hasKnownPrograms = sqlite3_libversion_number() / 1_000 == 3_040

    /// Version of the library that is loaded, such as "3.40.1".
    public static var version: String { String(cString: sqlite3_libversion()) }
}
