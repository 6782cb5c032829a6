// A file has one list of users. A path proves nothing if others may write its directory: whoever moves another
// database's file there would read its rows by his own database's list. So the daemon remembers the file of each
// database, and no database takes another one's.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// The files of the databases of a configuration.
///
/// - Thread: any.
final class ConfiguredFiles: Sendable {
    private struct Entry: Sendable {
        var name: String
        var location: any DatabaseLocation
        var path: String
        var rules: AccessRules
        var access: DatabaseAccess
        /// As it was last found or opened.
        var file: DatabaseFile?

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
    /// - Returns: whether `look` has something to do.
    func adopt(_ databases: [DatabaseConfiguration], _ engines: EngineRegistry) -> Bool {
        let entries = databases.compactMap { Self.entry($0, engines) }
        state.withLock { $0 = State(entries: entries, generation: $0.generation + 1) }
        return entries.contains { $0.differs(from: entries[0]) }
    }

    private static func entry(_ database: DatabaseConfiguration, _ engines: EngineRegistry) -> Entry? {
        guard let location = try? engines.location(url: database.url), let path = location.filePath else {
            return nil
        }
        let access = location.isReadOnly ? .readOnly : database.access
        return Entry(
            name: database.name, location: location, path: path, rules: database.rules, access: access)
    }

    /// Finds all files, once for each configuration. A file with several names at that time was named so by the
    /// administrator.
    /// - Thread: one that may block.
    /// - Returns: what the administrator should know.
    func look() -> [SharedFile] {
        let now = state.withLock { $0 }
        if now.isLookedAt { return [] }
        var entries = now.entries
        for index in entries.indices { entries[index].file = entries[index].location.file }
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

    /// Whether a database may use a file that it has opened, and if not, to which database it belongs.
    /// - Thread: one that may block, unless the database has used that file before.
    /// - Returns: the name of another database.
    func owner(of file: FileIdentity, openedBy name: String) -> String? {
        let entries = state.withLock { $0.entries }
        guard let own = entries.first(where: { $0.name == name }), own.file?.identity != file,
            entries.contains(where: { $0.differs(from: own) })
        else { return nil }
        let found = own.location.file
        return state.withLock { state in
            guard let index = state.entries.firstIndex(where: { $0.name == name && $0.path == own.path }),
                state.entries[index].file?.identity != file
            else { return nil }
            let now = found?.identity == file ? found : nil
            let other = state.entries.first { other in
                other.file?.identity == file && other.path != own.path && other.differs(from: own)
                    // The inode number of a deleted file can be reused by one that was created later.
                    && (now.map { $0.mayBe(other.file) } ?? true)
            }
            if other == nil { state.entries[index].file = now ?? DatabaseFile(file) }
            return other?.name
        }
    }
}

/// Two configured databases with the same file, but with different users or rights.
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
    /// Databases with the same file whose lists or access differ.
    /// - Cost: some system calls for each file.
    public var sharedFiles: [SharedFile] {
        let files = ConfiguredFiles()
        return files.adopt(databases, engines) ? files.look() : []
    }
}

extension DriverError {
    /// The client is not told whose file it is: that database may be hidden from it.
    static let fileOfAnother = DriverError(
        .connectFailed, "The file at the database's path belongs to another database of the configuration.",
        hint: "An administrator puts the files back in their places; if they are meant to be so, \"litebase reload\" "
            + "makes the daemon look at them anew.", sqlState: "58030")
}
