// sqlite3's .dump writes for virtual tables their entries in the schema and the tables in which they keep their data,
// bypassing the modules with PRAGMA writable_schema. The daemon does not allow that, because such content can make a
// module read where it must not. Instead, a full-text or R-tree table is created by CREATE VIRTUAL TABLE and filled
// with its rows.

import LiteBaseClient
import SQLText

/// Follows the statements of a script for what `.dump` writes of virtual tables.
///
/// Their own tables are taken as temporary ones, under the same names, which the script's INSERT statements find first. At the
/// end of the dump each virtual table is made and filled from them. Everything else is sent as it is.
/// - Source: dump_callback and run_schema_dump_query in src/shell.c.in of SQLite 3.40
struct VirtualTableDump {
    /// What to do for a statement of the script.
    enum Step {
        case send(String)
        case make(VirtualTable)
    }

    private static let schemaOn = "PRAGMA writable_schema=ON"
    private static let schemaOff = "PRAGMA writable_schema=OFF"
    private static let tableStart = "CREATE TABLE IF NOT EXISTS "

    /// Held back until its purpose is known.
    private var holdsSchemaOn = false
    private var tables: [VirtualTable] = []

    /// - Throws: `InputError` for a table that cannot be recreated from the dump.
    mutating func steps(for sql: String) throws(InputError) -> [Step] {
        if sql == Self.schemaOn {
            holdsSchemaOn = true
            return []
        }
        let held = holdsSchemaOn ? [Step.send(Self.schemaOn)] : []
        holdsSchemaOn = false
        if let table = VirtualTable(entry: sql) {
            if let problem = table.problem { throw InputError(message: problem, status: ExitStatus.statementFailed) }
            tables.append(table)
            return []
        }
        if tables.isEmpty { return held + [.send(sql)] }
        if sql == Self.schemaOff || sql == "COMMIT" { return held + finish(sql) }
        if sql.hasPrefix("ROLLBACK") {
            tables = []
            return held + [.send(sql)]
        }
        if tables.contains(where: { $0.ignores(sql) }) { return held }
        if sql.hasPrefix(Self.tableStart), tables.contains(where: { $0.owns(sql.dropFirst(Self.tableStart.count)) }) {
            return held + [.send("CREATE TEMP TABLE " + sql.dropFirst(Self.tableStart.count))]
        }
        return held + [.send(sql)]
    }

    private mutating func finish(_ sql: String) -> [Step] {
        let made = tables.map(Step.make)
        tables = []
        return made + (sql == "COMMIT" ? [.send(sql)] : [])
    }
}

/// A virtual table of a dump.
struct VirtualTable {
    let name: String
    let sql: String
    private let module: String

    /// For each module, by the ends of names: tables that contain the rows, and tables that follow from them.
    private static let parts: [String: (rows: [String], rest: [String])] = [
        "fts3": (["content"], ["segments", "segdir", "docsize", "stat"]),
        "fts4": (["content"], ["segments", "segdir", "docsize", "stat"]),
        "fts5": (["content", "config"], ["data", "idx", "docsize"]),
        "rtree": (["node", "rowid"], ["parent"]), "rtree_i32": (["node", "rowid"], ["parent"]),
    ]

    /// Reads an entry as `.dump` writes it; `nil` for any other statement.
    init?(entry: String) {
        let start = ["sqlite_schema", "sqlite_master"].lazy
            .map { "INSERT INTO \($0)(type,name,tbl_name,rootpage,sql)VALUES('table'," }.first(where: entry.hasPrefix)
        guard let start else { return nil }
        var rest = Array(entry.utf8.dropFirst(start.utf8.count))[...]
        guard let name = Self.text(&rest), Self.skip(",", &rest), Self.text(&rest) == name, Self.skip(",0,", &rest),
            let sql = Self.text(&rest), rest.elementsEqual(")".utf8)
        else { return nil }
        var words = PlainWords(Array(sql.utf8))
        guard words.next() == "create", words.next() == "virtual", words.next() == "table" else { return nil }
        while let word = words.next(), word != "using" {}
        self.name = name
        self.sql = sql
        module = words.next() ?? ""
    }

    private static func skip(_ text: String, _ rest: inout ArraySlice<UInt8>) -> Bool {
        guard rest.starts(with: text.utf8) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }

    private static func text(_ rest: inout ArraySlice<UInt8>) -> String? {
        guard rest.first == UInt8(ascii: "'") else { return nil }
        var bytes: [UInt8] = []
        let (end, isClosed) = QuotedText.read(rest, from: rest.startIndex) { bytes.append($0) }
        rest = rest[end...]
        return isClosed ? String(validating: bytes, as: UTF8.self) : nil
    }

    /// Why it cannot be made.
    var problem: String? {
        guard Self.parts[module] != nil else {
            return
                "the virtual table \(name) is of the module \(module), whose tables only sqlite3 itself can write; nothing "
                + "of this dump is kept"
        }
        let arguments = String(sql.filter { !$0.isWhitespace }).lowercased()
        guard module.hasPrefix("fts"), arguments.contains("content=''") || arguments.contains("content=\"\"") else {
            return nil
        }
        return
            "the full-text table \(name) keeps no text (content=''), so that its index cannot be made anew; nothing of "
            + "this dump is kept. Drop the table before you dump, and fill it again behind"
    }

    /// Whether a text begins with the name of one of its tables, as these are made.
    func owns(_ text: Substring) -> Bool {
        let (rows, rest) = Self.parts[module] ?? ([], [])
        return (rows + rest).contains { part in
            text.hasPrefix("\(quoted("\(name)_\(part)", by: UInt8(ascii: "'")))(")
                || text.hasPrefix("\(quoted("\(name)_\(part)"))(")
        }
    }

    /// Whether a statement fills one of its tables that follows from the others.
    func ignores(_ sql: String) -> Bool {
        (Self.parts[module]?.rest ?? []).contains { part in
            let table = "\(name)_\(part)"
            return sql.hasPrefix("INSERT INTO \(table) VALUES(")
                || sql.hasPrefix("INSERT INTO \(quoted(table)) VALUES(")
        }
    }

    private func quoted(_ name: String, by quote: UInt8 = UInt8(ascii: "\"")) -> String {
        String(quoting: name, by: quote)
    }

    private func temporary(_ part: String) -> String { "temp." + quoted("\(name)_\(part)") }
}

// Making them.
extension VirtualTable {
    /// Makes the table and fills it from the temporary ones, which are gone afterwards.
    func make(in session: BlockingSession) throws(ClientError) {
        try session.execute(sql)
        let (rows, rest) = Self.parts[module] ?? ([], [])
        let present = try names(session, "SELECT name FROM temp.sqlite_schema WHERE type = 'table'")
        switch module {
        case "rtree", "rtree_i32": try fillTree(session)
        default: try fillIndex(session, present)
        }
        for part in rows + rest where present.contains("\(name)_\(part)") {
            try session.execute("DROP TABLE \(temporary(part))")
        }
    }

    private func names(_ session: BlockingSession, _ sql: String) throws(ClientError) -> [String] {
        try session.query(sql).rows.compactMap { $0[0].text }
    }

    /// Columns that INSERT takes, or those that are hidden from it.
    private func columns(_ session: BlockingSession, areHidden: Bool = false) throws(ClientError) -> [String] {
        try session.query(
            "SELECT name FROM pragma_table_xinfo(?, 'main') WHERE (hidden = 1) = ? ORDER BY cid",
            .positional([.text(name), .integer(areHidden ? 1 : 0)])
        ).rows.compactMap { $0[0].text }
    }

    private func fillIndex(_ session: BlockingSession, _ present: [String]) throws(ClientError) {
        let table = "main." + quoted(name)
        let own = quoted(name)
        if present.contains("\(name)_config") {
            // Its storage settings, not its content.
            try session.execute(
                "INSERT INTO \(table)(\(own), rank) SELECT k, v FROM \(temporary("config")) WHERE k <> 'version'")
        }
        guard present.contains("\(name)_content") else {
            // Its rows are those of another table.
            try session.execute("INSERT INTO \(table)(\(own)) VALUES('rebuild')")
            return
        }
        var targets = [module == "fts5" ? "rowid" : "docid"] + (try columns(session))
        let count = try session.query(
            "SELECT count(*) FROM pragma_table_info(?, 'temp')", .positional([.text("\(name)_content")])
        ).rows.first?[0].integer
        if let count, count > Int64(targets.count), let language = try columns(session, areHidden: true).last {
            // `languageid` of FTS4.
            targets.append(language)
        }
        let list = targets.map { quoted($0) }.joined(separator: ", ")
        try session.execute("INSERT INTO \(table)(\(list)) SELECT * FROM \(temporary("content"))")
    }

    private static let cellsPerStatement = 500

    private func fillTree(_ session: BlockingSession) throws(ClientError) {
        let columns = try columns(session)
        let kept = try session.query(
            "SELECT name FROM pragma_table_info(?, 'temp') ORDER BY cid", .positional([.text("\(name)_rowid")]))
        let extra = kept.rows.compactMap { $0[0].text }.dropFirst(2)
        let bounds = columns.count - 1 - extra.count
        guard bounds > 0 else { return }
        let values = (0...bounds).map { "c.value ->> \($0)" } + extra.map { "r.\(quoted($0))" }
        let sql =
            "INSERT INTO main.\(quoted(name)) SELECT \(values.joined(separator: ", ")) FROM json_each(?) c "
            + "JOIN \(temporary("rowid")) r ON r.rowid = c.value ->> 0"
        // One leaf at a time: they are what entries of `_rowid` lead to.
        let leaves = try session.query("SELECT DISTINCT nodeno FROM \(temporary("rowid")) ORDER BY 1")
        for leaf in leaves.rows {
            let node = try session.query(
                "SELECT data FROM \(temporary("node")) WHERE nodeno = ?", .positional([leaf[0]]))
            guard case .blob(let bytes)? = node.rows.first?[0] else { continue }
            let cells = TreeNode.cells(bytes, bounds: bounds, areIntegers: module == "rtree_i32")
            for start in stride(from: 0, to: cells.count, by: Self.cellsPerStatement) {
                let part = cells[start..<min(start + Self.cellsPerStatement, cells.count)]
                try session.execute(sql, .positional([.text("[" + part.joined(separator: ",") + "]")]))
            }
        }
    }
}

/// A node of an R-tree, as its module writes it.
///
/// - Source: "Format of a node" at the head of ext/rtree/rtree.c of SQLite 3.40
private enum TreeNode {
    /// The entries of a leaf as JSON arrays: the id, and the bounds.
    static func cells(_ bytes: [UInt8], bounds: Int, areIntegers: Bool) -> [String] {
        guard bytes.count >= 4 else { return [] }
        let size = 8 + 4 * bounds
        let count = min(Int(bytes[2]) << 8 | Int(bytes[3]), (bytes.count - 4) / size)
        return (0..<count).map { index in
            let start = 4 + index * size
            var values = ["\(Int64(bitPattern: number(bytes[start..<start + 8])))"]
            for bound in 0..<bounds {
                let place = start + 8 + 4 * bound
                let bits = UInt32(truncatingIfNeeded: number(bytes[place..<place + 4]))
                values.append(areIntegers ? "\(Int32(bitPattern: bits))" : json(Double(Float(bitPattern: bits))))
            }
            return "[" + values.joined(separator: ",") + "]"
        }
    }

    /// The highest byte comes first.
    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    private static func json(_ value: Double) -> String {
        value.isFinite ? "\(value)" : value < 0 ? "-9e999" : "9e999"
    }
}
