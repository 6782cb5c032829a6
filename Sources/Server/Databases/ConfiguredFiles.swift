// One file serves one list of users. A path proves nothing where others may write its directory: whoever moves the file of
// another database to it would have that one's rows by his own database's list. So the daemon remembers which file each
// database is, and a database does not take another one's.

internal import DatabaseDrivers
internal import LinuxSystem
internal import Synchronization

/// The files of the databases of a configuration.
///
/// - Thread: any.
final class ConfiguredFiles: Sendable {
    private struct Entry: Sendable {
        var name: String
        var path: String
        var rules: AccessRules
        var access: DatabaseAccess
        /// When it was looked at, or opened, last.
        var file: SQLiteFileIdentity?

        func differs(from other: Entry) -> Bool { rules != other.rules || access != other.access }
    }

    private struct State: Sendable {
        var entries: [Entry] = []
        /// Changes with each configuration.
        var generation = 0
        var isLookedAt = false
    }

    private let state = Mutex(State())

    /// Takes over a configuration.
    /// - Returns: whether there is something to be looked at (`look`).
    func adopt(_ databases: [DatabaseConfiguration]) -> Bool {
        let entries = databases.compactMap(Self.entry)
        state.withLock { $0 = State(entries: entries, generation: $0.generation + 1) }
        return entries.contains { $0.differs(from: entries[0]) }
    }

    private static func entry(_ database: DatabaseConfiguration) -> Entry? {
        guard case .sqlite(let location)? = try? DatabaseLocation(url: database.url),
            case .file(let path) = location.place
        else { return nil }
        let access = location.mode == .readOnly ? .readOnly : database.access
        return Entry(name: database.name, path: path, rules: database.rules, access: access)
    }

    /// Looks at all files, once for each configuration. What has several names then, the administrator has given them.
    /// - Thread: one that may block.
    /// - Returns: what he is to know about it.
    func look() -> [SharedFile] {
        let now = state.withLock { $0 }
        if now.isLookedAt { return [] }
        var entries = now.entries
        for index in entries.indices { entries[index].file = SQLiteFileIdentity(path: entries[index].path) }
        return state.withLock { state in
            if state.isLookedAt || state.generation != now.generation { return [] }
            (state.entries, state.isLookedAt) = (entries, true)
            return Self.shared(entries)
        }
    }

    private static func shared(_ entries: [Entry]) -> [SharedFile] {
        entries.indices.flatMap { index in
            entries[..<index].filter { other in
                let entry = entries[index]
                let isSame = other.path == entry.path || (entry.file != nil && other.file == entry.file)
                return isSame && other.differs(from: entry)
            }.map { SharedFile(name: $0.name, otherName: entries[index].name, path: entries[index].path) }
        }
    }

    /// Whether a database may use a file that it has opened, and if not, whose it is.
    /// - Thread: one that may block, unless the database has used that file before.
    /// - Returns: the name of another database.
    func owner(of file: FileIdentity, openedBy name: String) -> String? {
        let entries = state.withLock { $0.entries }
        guard let own = entries.first(where: { $0.name == name }), own.file?.file != file,
            entries.contains(where: { $0.differs(from: own) })
        else { return nil }
        let found = SQLiteFileIdentity(path: own.path)
        return state.withLock { state in
            guard let index = state.entries.firstIndex(where: { $0.name == name && $0.path == own.path }),
                state.entries[index].file?.file != file
            else { return nil }
            let now = found?.file == file ? found : nil
            let other = state.entries.first { other in
                other.file?.file == file && other.path != own.path && other.differs(from: own)
                    // The number of a file that is gone may be given to another one, which was born later.
                    && (now.map { $0.mayBe(other.file) } ?? true)
            }
            if other == nil { state.entries[index].file = now ?? SQLiteFileIdentity(file: file) }
            return other?.name
        }
    }
}

/// Two databases of a configuration that are one file, although not the same users may do the same with them.
public struct SharedFile: Sendable, Equatable {
    public var name: String
    public var otherName: String
    public var path: String

    /// For an administrator.
    public var text: String {
        "\(name) and \(otherName) are one file (\(path)), but their lists or their access differ: whoever may open one of "
            + "them sees what is in both; if that is not meant, give each a file of its own"
    }
}

extension ServerConfiguration {
    /// Databases that are one file, although their lists or their access differ.
    /// - Cost: some system calls for each file.
    public var sharedFiles: [SharedFile] {
        let files = ConfiguredFiles()
        return files.adopt(databases) ? files.look() : []
    }
}

extension DriverError {
    /// The client is not told whose file it is: that database may be none of his.
    static let fileOfAnother = DriverError(
        .connectFailed, "The file at the database's path belongs to another database of the configuration.",
        hint: "An administrator puts the files back in their places; if they are meant to be so, \"litebase reload\" "
            + "makes the daemon look at them anew.", sqlState: "58030")
}
