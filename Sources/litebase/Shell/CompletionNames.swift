// Names of a database for completion, read beside the shell.

internal import LinuxSystem
import LiteBaseClient
internal import SQLText
internal import Synchronization

/// Tables and their columns, as they were some time ago; never waited for.
///
/// A connection of its own reads them, so that neither the prompt nor the session has to wait: at the beginning, in another
/// database, and after statements that define something. Temporary tables are not seen.
/// - Thread: any.
final class CompletionNames: Sendable {
    static let countMax = 20_000
    private static let timeout = Duration.seconds(5)

    private struct State {
        var columns: [String: [String]] = [:]
        var databases: [String] = []
        var engine = ""
        var isLoading = false
        /// A later state was asked for meanwhile.
        var next: Wanted?
    }

    private struct Wanted {
        let endpoint: Endpoint
        let trusted: TrustedUsers
        let options: SessionOptions
    }

    private let state = Mutex(State())
    private let last = Mutex<Wanted?>(nil)

    /// The columns of each table.
    var columns: [String: [String]] { state.withLock { $0.columns } }
    var databases: [String] { state.withLock { $0.databases } }

    /// A name as it stands in a statement: in the engine's quotes where it needs them.
    func quoted(_ name: String) -> String {
        let engine = state.withLock { $0.engine }
        let isPlain = name.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "a"..."z", "0"..."9", "_": true
            case "A"..."Z": engine != "postgresql"
            default: false
            }
        }
        if isPlain, !(name.first?.isNumber ?? true) { return name }
        return String(quoting: name, by: engine == "mysql" ? UInt8(ascii: "`") : UInt8(ascii: "\""))
    }

    /// Reads the names of the shell's database, beside it.
    func load(_ connection: ShellConnection) {
        let wanted = Wanted(endpoint: connection.endpoint, trusted: connection.trusted, options: connection.options)
        last.withLock { $0 = wanted }
        load(wanted)
    }

    /// Reads them again if a statement may have changed them.
    func note(statement: String) {
        let words = statement.prefix(64).lowercased().split { !$0.isLetter }.prefix(2).map(String.init)
        guard let word = words.first, ["create", "alter", "drop", "rename", "use"].contains(word),
            // Another session does not see those.
            !words.contains("temp"), !words.contains("temporary"), let wanted = last.withLock({ $0 })
        else {
            return
        }
        load(wanted)
    }

    private func load(_ wanted: Wanted) {
        let mayBegin = state.withLock { state in
            defer { state.isLoading = true }
            if state.isLoading { state.next = wanted }
            return !state.isLoading
        }
        guard mayBegin else { return }
        do throws(Errno) {
            try Thread.start(name: "litebase-names") { self.loadAll(wanted) }
        } catch {
            state.withLock { $0.isLoading = false }
        }
    }

    private func loadAll(_ first: Wanted) {
        var wanted: Wanted? = first
        while let present = wanted {
            let found = try? Self.names(present)
            wanted = state.withLock { state in
                if let found {
                    (state.columns, state.databases, state.engine) = (found.columns, found.databases, found.engine)
                }
                defer { state.next = nil }
                state.isLoading = state.next != nil
                return state.next
            }
        }
    }

    private static func names(
        _ wanted: Wanted
    ) throws(ClientError) -> (columns: [String: [String]], databases: [String], engine: String) {
        let client = try BlockingClient.connect(to: wanted.endpoint, trusting: wanted.trusted)
        try client.introduce(as: "litebase shell (names)")
        client.timeout = timeout
        let databases = try client.listDatabases().map(\.name)
        let session = try client.openSession(wanted.options)
        let engine = session.information.engine
        guard let sql = query(engine) else { return ([:], databases, engine) }
        var columns: [String: [String]] = [:]
        let rows = try session.query(sql, options: QueryOptions(timeout: timeout, maxRows: Int64(countMax))).rows
        for row in rows {
            guard let table = row[0].text else { continue }
            columns[table, default: []] += row[1].text.map { [$0] } ?? []
        }
        try session.close()
        return (columns, databases, engine)
    }

    private static func query(_ engine: String) -> String? {
        switch engine {
        case "sqlite":
            """
            SELECT s.name, c.name FROM sqlite_schema s LEFT JOIN pragma_table_xinfo(s.name) c
            WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT \(countMax)
            """
        case "postgresql":
            """
            SELECT c.relname::text, a.attname::text FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            LIMIT \(countMax)
            """
        case "mysql":
            """
            SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE() LIMIT \(countMax)
            """
        default: nil
        }
    }
}
