// SQLite as an engine.

internal import CSQLiteFiles
public import DatabaseContract
internal import LinuxSystem

extension Engine {
    /// SQLite in this process. Values: SQLITE_LIMIT_VARIABLE_NUMBER, which `SQLiteLimit` sets.
    public static let sqlite = Engine(
        name: "sqlite", schemes: ["sqlite"], urlExample: "sqlite:/absolute/path, sqlite::memory:", placement: .process,
        parameterCountMax: 32_766, parameterLimitName: "sqlite_parameters_max",
        pingText: "SELECT 1 FROM sqlite_schema LIMIT 1", hasFiles: true, catalog: SQLiteCatalog(),
        loading: SQLiteLoading(),
        adopt: { limits in
            SQLiteLibrary.configure()
            SQLiteMemory.setLimits(limits)
        },
        parse: { url throws(DriverError) in try SQLiteLocation(url: url) })
}

extension DatabaseFile {
    /// The file to which a path leads as SQLite would follow it; `nil` if there is none.
    init?(sqlitePath path: String) {
        var (device, inode): (UInt64, UInt64) = (0, 0)
        var birth: Int64 = 0
        guard litebase_sqlite3_identify(path, &device, &inode, &birth) == 0 else { return nil }
        self.init(FileIdentity(device: device, inode: inode), birth: birth)
    }
}
