// Which file a database is, also after others have come and gone.

internal import CSQLiteFiles
public import LinuxSystem

/// A database file as it was found at a path.
public struct SQLiteFileIdentity: Sendable, Equatable {
    public let file: FileIdentity
    /// In nanoseconds; 0 where the file system does not say (statx(2)).
    private let birth: Int64

    /// The file to which a path leads as SQLite would follow it; `nil` where there is none.
    public init?(path: String) {
        var (device, inode): (UInt64, UInt64) = (0, 0)
        var birth: Int64 = 0
        guard litebase_sqlite3_identify(path, &device, &inode, &birth) == 0 else { return nil }
        file = FileIdentity(device: device, inode: inode)
        self.birth = birth
    }

    /// A file of which no more is known.
    public init(file: FileIdentity) { (self.file, birth) = (file, 0) }

    /// Whether both may be the same file.
    public func mayBe(_ other: SQLiteFileIdentity?) -> Bool {
        guard let other, other.file == file else { return false }
        return birth == 0 || other.birth == 0 || birth == other.birth
    }
}
