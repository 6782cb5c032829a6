// What a user has typed in the shell: a SQLite file of his own.

internal import CHistoryStore
internal import Glibc
internal import LinuxSystem
import LiteBaseClient
import SQLText

/// `$XDG_STATE_HOME/litebase/history.db`, which only its owner can read: one row for each shape of a statement and database.
///
/// A failure is not reported: a history that cannot be written must not disturb.
final class HistoryStore {
    private let store: OpaquePointer

    /// Older ones are forgotten, when a shell begins.
    private static let rowCountMax = 20_000
    /// Of each shape, for its median.
    private static let durationCountMax = 31
    /// A longer text is a script with data in it.
    private static let byteCountMax = 64 << 10

    private static let schema = """
        CREATE TABLE IF NOT EXISTS statement(
            id INTEGER PRIMARY KEY, database TEXT NOT NULL, shape TEXT NOT NULL, text TEXT NOT NULL, count INTEGER NOT NULL,
            last_ms INTEGER NOT NULL, durations TEXT NOT NULL DEFAULT '[]', median_us INTEGER,
            error_count INTEGER NOT NULL, error TEXT, UNIQUE(database, shape));
        CREATE INDEX IF NOT EXISTS by_time ON statement(last_ms);
        CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5(text, content='statement', content_rowid='id');
        CREATE TRIGGER IF NOT EXISTS search_insert AFTER INSERT ON statement BEGIN
            INSERT INTO search(rowid, text) VALUES (new.id, new.text); END;
        CREATE TRIGGER IF NOT EXISTS search_delete AFTER DELETE ON statement BEGIN
            INSERT INTO search(search, rowid, text) VALUES ('delete', old.id, old.text); END;
        CREATE TRIGGER IF NOT EXISTS search_update AFTER UPDATE OF text ON statement BEGIN
            INSERT INTO search(search, rowid, text) VALUES ('delete', old.id, old.text);
            INSERT INTO search(rowid, text) VALUES (new.id, new.text); END;
        DELETE FROM statement WHERE id IN (SELECT id FROM statement ORDER BY last_ms DESC LIMIT -1 OFFSET \(rowCountMax));
        """

    private init(_ store: OpaquePointer) { self.store = store }

    deinit { chistory_close(store) }

    static var standardPath: String? {
        let state = Process.environment("XDG_STATE_HOME") ?? Process.homeDirectory.map { $0 + "/.local/state" }
        return state.map { $0 + "/litebase/history.db" }
    }

    /// Opens it for writing; makes it where there is none.
    static func open(path: String? = standardPath) -> HistoryStore? {
        guard let path, let slash = path.lastIndex(of: "/") else { return nil }
        try? Files.makeDirectories(String(path[..<slash]))
        // Its journal gets the mode of the file.
        guard (try? Files.open(path, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)) != nil,
            chmod(path, 0o600) == 0,
            let store = chistory_open(path, false)
        else { return nil }
        let history = HistoryStore(store)
        return chistory_execute(store, schema) ? history : nil
    }

    /// Opens it for reading; `nil` where there is none.
    static func openExisting(path: String? = standardPath) -> HistoryStore? {
        path.flatMap { chistory_open($0, true) }.map(HistoryStore.init)
    }

    /// Counts a statement that has ended.
    func note(
        _ sql: String, _ language: StatementSplitter.Language, database: String, microseconds: Int64,
        _ error: ClientError?
    ) {
        guard sql.utf8.count <= Self.byteCountMax else { return }
        let shape = StatementShape(sql, language)
        guard !shape.shape.isEmpty else { return }
        let count = Self.durationCountMax
        guard
            let statement = prepared(
                """
                INSERT INTO statement(database, shape, text, count, last_ms, durations, median_us, error_count, error)
                VALUES (?1, ?2, ?3, 1, ?4, iif(?6 IS NULL, json_array(?5), '[]'), iif(?6 IS NULL, ?5, NULL), ?6 IS NOT NULL, ?6)
                ON CONFLICT(database, shape) DO UPDATE SET text = excluded.text, count = count + 1, last_ms = excluded.last_ms,
                    error_count = error_count + excluded.error_count, error = excluded.error,
                    durations = iif(?6 IS NULL, (SELECT json_group_array(value) FROM (
                        SELECT value, key FROM json_each(json_insert(durations, '$[#]', ?5)) ORDER BY key DESC LIMIT \(count))),
                        durations)
                """)
        else { return }
        defer { chistory_finalize(statement) }
        bind(statement, [database, shape.shape, shape.text])
        chistory_bind_integer(statement, 4, WallClock.nanosecondsSince1970 / 1_000_000)
        chistory_bind_integer(statement, 5, microseconds)
        if let error { bind(statement, Self.words(of: error, isRedacted: shape.isRedacted), at: 6) }
        guard chistory_step(statement) == 0, error == nil else { return }
        setMedian(database, shape.shape)
    }

    private func setMedian(_ database: String, _ shape: String) {
        guard
            let statement = prepared(
                """
                UPDATE statement SET median_us = (SELECT value FROM json_each(durations) ORDER BY value
                    LIMIT 1 OFFSET (json_array_length(durations) - 1) / 2)
                WHERE database = ?1 AND shape = ?2
                """)
        else { return }
        defer { chistory_finalize(statement) }
        bind(statement, [database, shape])
        _ = chistory_step(statement)
    }

    /// A message may quote a part of the statement.
    private static func words(of error: ClientError, isRedacted: Bool) -> String {
        guard let server = error.serverError else { return "\(error)" }
        return isRedacted ? server.code.rawValue : server.message
    }

    /// What is looked for.
    struct Search {
        /// Words, each of which occurs, or begins one that does.
        var words = ""
        var database: String?
        var onlyFailed = false
        var countMax: Int64 = 50
        var order = Order.last
    }

    enum Order: String, CaseIterable {
        case last, count, slow

        fileprivate var sql: String {
            switch self {
            case .last: "last_ms DESC"
            case .count: "count DESC, last_ms DESC"
            case .slow: "median_us DESC, last_ms DESC"
            }
        }
    }

    static let columns = ["last", "count", "median_ms", "errors", "database", "statement", "error"]

    /// - Returns: rows of `columns`; `nil` if it cannot be read.
    func find(_ search: Search) -> [[Value]]? {
        let text = Self.fullText(search.words)
        guard
            let statement = prepared(
                """
                SELECT strftime('%Y-%m-%d %H:%M:%S', last_ms / 1000, 'unixepoch', 'localtime'), count, median_us, error_count,
                       database, text, error
                  FROM statement
                 WHERE (?1 = '' OR id IN (SELECT rowid FROM search WHERE search MATCH ?1)) AND (?2 = '' OR database = ?2)
                   AND (NOT \(search.onlyFailed ? 1 : 0) OR error_count > 0)
                 ORDER BY \(search.order.sql) LIMIT \(search.countMax)
                """)
        else { return nil }
        defer { chistory_finalize(statement) }
        bind(statement, [text, search.database ?? ""])
        var rows: [[Value]] = []
        while true {
            switch chistory_step(statement) {
            case 1: rows.append(Self.row(statement))
            case 0: return rows
            default: return nil
            }
        }
    }

    private static func row(_ statement: OpaquePointer) -> [Value] {
        (0..<7).map { column in
            if chistory_is_null(statement, Int32(column)) { return .null }
            let number = chistory_integer(statement, Int32(column))
            switch column {
            case 1, 3: return .integer(number)
            case 2: return .real(Double(number) / 1000)
            default:
                var length = 0
                guard let text = chistory_text(statement, Int32(column), &length) else { return .null }
                let bytes = UnsafeRawBufferPointer(start: text, count: length)
                return .text(String(decoding: bytes, as: UTF8.self))
            }
        }
    }

    /// Words as FTS5 has them (https://sqlite.org/fts5.html, 3): each in quotes, and as a prefix.
    private static func fullText(_ words: String) -> String {
        words.split { !$0.isLetter && !$0.isNumber && $0 != "_" }
            .flatMap { $0.split(separator: "_") }
            .map { "\"\($0)\"*" }.joined(separator: " ")
    }

    private func prepared(_ sql: String) -> OpaquePointer? { chistory_prepare(store, sql) }

    private func bind(_ statement: OpaquePointer, _ texts: [String]) {
        for (index, text) in texts.enumerated() { bind(statement, text, at: Int32(index) + 1) }
    }

    private func bind(_ statement: OpaquePointer, _ text: String, at index: Int32) {
        var text = text
        text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                // A null pointer would be NULL.
                if let start = $0.baseAddress { chistory_bind_text(statement, index, start, $0.count) }
                if $0.baseAddress == nil { chistory_bind_text(statement, index, "", 0) }
            }
        }
    }
}
