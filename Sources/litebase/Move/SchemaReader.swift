// What a SQLite database has, read by a session of it: all of it in that session's transaction, so that it is of one moment.

internal import LinuxSystem
import LiteBaseClient
internal import SQLText
internal import SchemaTranslation

/// Reads the schema, and looks at every value once.
struct SchemaReader {
    let session: BlockingSession

    /// Columns that one statement looks at: each has a dozen results, and SQLite's limit is 2000.
    private static let columnCountAtOnce = 100
    /// Modules whose rows can be read like those of a table.
    private static let readableModules = ["fts3", "fts4", "fts5", "rtree", "rtree_i32"]
    /// Texts with a character that is not ASCII: only those can be something else than UTF-8.
    private static let notASCII = "'*[^' || char(1) || '-' || char(127) || ']*'"

    func read() throws(ClientError) -> SourceSchema {
        var schema = SourceSchema()
        let kinds = try query("SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'")
        let objects = try query(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql NOT NULL "
                + "AND substr(name, 1, 7) COLLATE NOCASE <> 'sqlite_' ORDER BY rowid")
        let modules = objects.map { Self.text($0[3]) }.filter { $0.lowercased().hasPrefix("create virtual") }
        let contentNames = Set(modules.compactMap { Self.contentName($0)?.lowercased() })
        for row in objects {
            let (name, sql) = (Self.text(row[1]), Self.text(row[3]))
            let object = SourceObject(name: name, table: Self.text(row[2]), sql: sql)
            switch Self.text(row[0]) {
            case "view": schema.views.append(object)
            case "trigger": schema.triggers.append(object)
            case "table":
                let kind = kinds.first { Self.text($0[0]) == name }
                switch kind.map({ Self.text($0[1]) }) {
                case "shadow":
                    switch Self.shadowUse(name, objects, contentNames) {
                    case .index: break
                    case .rows:
                        var table = try self.table(object, isWithoutRowid: kind?[2].bool ?? false)
                        table.isShadow = true
                        schema.tables.append(table)
                    case .unreadable(let owner):
                        let count = try query("SELECT count(*) FROM \(Self.quoted(name))").first?[0].integer ?? 0
                        if count > 0 {
                            schema.shadows.append(SourceShadow(name: name, owner: owner, rowCount: count))
                        }
                    }
                case "virtual": try addVirtual(object, to: &schema)
                default: schema.tables.append(try table(object, isWithoutRowid: kind?[2].bool ?? false))
                }
            default: break
            }
        }
        return schema
    }

    private func query(_ sql: String, _ values: [Value] = []) throws(ClientError) -> [Row] {
        try session.query(sql, .positional(values)).rows
    }

    private static func text(_ value: Value) -> String { value.text ?? "" }

    static func quoted(_ name: String) -> String { String(quoting: name, by: UInt8(ascii: "\"")) }

    // MARK: Virtual tables

    /// What is in a table that SQLite calls shadow.
    private enum ShadowUse {
        /// What a virtual table makes of rows that are elsewhere, or that are read from itself.
        case index
        /// Rows that are nowhere else.
        case rows
        /// Rows of a virtual table that cannot be read.
        case unreadable(String)
    }

    /// SQLite goes by the name alone: it calls every table shadow whose name is that of a virtual table with one of the endings
    /// of its module, also one that somebody else has made. With `content=`, FTS makes no table of that ending for what it
    /// indexes.
    /// - Source: sqlite.org/fts5.html, "External Content Tables"; sqlite.org/vtab.html, "The xShadowName Method"
    private static func shadowUse(_ name: String, _ objects: [Row], _ contentNames: Set<String>) -> ShadowUse {
        let name = name.lowercased()
        if contentNames.contains(name) { return .rows }
        guard let place = name.lastIndex(of: "_"),
            let owner = objects.first(where: {
                text($0[1]).lowercased() == name[..<place] && text($0[3]).lowercased().hasPrefix("create virtual")
            })
        else { return .rows }
        let sql = text(owner[3])
        guard readableModules.contains(module(sql)) else { return .unreadable(text(owner[1])) }
        return contentName(sql) != nil && name.hasSuffix("_content") ? .rows : .index
    }

    private static func module(_ sql: String) -> String {
        let words = Array(PlainWords(Array(sql.utf8)))
        return words.firstIndex(of: "using").flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil } ?? ""
    }

    /// The value of `content=`; `nil` where there is none.
    private static func contentName(_ sql: String) -> String? {
        var rest = sql[...]
        while let place = rest.firstIndex(where: { $0 == "c" || $0 == "C" }) {
            rest = rest[place...]
            guard rest.prefix(7).lowercased() == "content" else {
                rest = rest.dropFirst()
                continue
            }
            rest = rest.dropFirst(7).drop(while: \.isWhitespace)
            guard rest.first == "=" else { continue }
            let value = rest.dropFirst().prefix { $0 != "," && $0 != ")" }
            return String(value.filter { !$0.isWhitespace && !"'\"`[]".contains($0) })
        }
        return nil
    }

    // MARK: Tables

    private func addVirtual(_ object: SourceObject, to schema: inout SourceSchema) throws(ClientError) {
        let module = Self.module(object.sql)
        // With content= the rows are those of another table, or none that can be read.
        guard Self.readableModules.contains(module), Self.contentName(object.sql) == nil else {
            return schema.virtualTables.append(object)
        }
        var table = SourceTable(name: object.name, sql: object.sql)
        table.module = module
        table.columns = try columns(object.name)
        if !module.hasPrefix("rtree") {
            table.columns.insert(SourceColumn(name: "rowid", declaredType: "INTEGER"), at: 0)
        }
        try addFacts(to: &table)
        schema.tables.append(table)
    }

    private func table(_ object: SourceObject, isWithoutRowid: Bool) throws(ClientError) -> SourceTable {
        var table = SourceTable(name: object.name, sql: object.sql)
        table.isWithoutRowid = isWithoutRowid
        table.columns = try columns(object.name)
        table.indexes = try indexes(object.name)
        table.foreignKeys = try foreignKeys(object.name)
        if !table.foreignKeys.isEmpty {
            // A target that is no key is an error here; PostgreSQL says the same, and that is what is told.
            let count = try? query("SELECT count(*) FROM pragma_foreign_key_check(?)", [.text(object.name)])
            table.orphanCount = count?.first?[0].integer ?? 0
        }
        table.sequence = try sequence(object.name)
        try addFacts(to: &table)
        return table
    }

    private func columns(_ table: String) throws(ClientError) -> [SourceColumn] {
        try query(
            "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid",
            [.text(table)]
        ).map { row in
            var column = SourceColumn(name: Self.text(row[0]), declaredType: Self.text(row[1]))
            column.isNotNull = row[2].bool ?? false
            column.isGenerated = (row[5].integer ?? 0) > 1
            column.defaultText = column.isGenerated ? nil : row[3].text
            column.primaryKeyPlace = Int(row[4].integer ?? 0)
            return column
        }
    }

    private func indexes(_ table: String) throws(ClientError) -> [SourceIndex] {
        var indexes: [SourceIndex] = []
        let list = try query(
            "SELECT l.name, l.origin, l.\"unique\", s.sql FROM pragma_index_list(?1) l "
                + "LEFT JOIN sqlite_schema s ON s.type = 'index' AND s.name = l.name ORDER BY l.seq DESC",
            [.text(table)])
        for row in list {
            let columns = try query(
                "SELECT name, coll FROM pragma_index_xinfo(?) WHERE \"key\" ORDER BY seqno", [row[0]])
            indexes.append(
                SourceIndex(
                    name: Self.text(row[0]), origin: SourceIndex.Origin(rawValue: Self.text(row[1])) ?? .definition,
                    isUnique: row[2].bool ?? false, sql: row[3].text,
                    columns: columns.map { SourceIndex.Column(name: $0[0].text, collation: Self.text($0[1])) }))
        }
        return indexes
    }

    /// SQLite numbers them from the last one of the text.
    private func foreignKeys(_ table: String) throws(ClientError) -> [SourceForeignKey] {
        var keys: [SourceForeignKey] = []
        var last: Int64?
        let rows = try query(
            "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq",
            [.text(table)])
        for row in rows {
            if row[0].integer != last {
                keys.append(
                    SourceForeignKey(
                        table: Self.text(row[1]), columns: [], targetColumns: [], onUpdate: Self.text(row[4]),
                        onDelete: Self.text(row[5])))
            }
            last = row[0].integer
            keys[keys.count - 1].columns.append(Self.text(row[2]))
            if let target = row[3].text { keys[keys.count - 1].targetColumns.append(target) }
        }
        return keys
    }

    private func sequence(_ table: String) throws(ClientError) -> Int64? {
        guard try !query("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").isEmpty else { return nil }
        return try query("SELECT seq FROM sqlite_sequence WHERE name = ?", [.text(table)]).first?[0].integer
    }

    // MARK: Values

    /// What is asked of each column.
    private static func counts(_ column: String) -> [String] {
        func count(_ condition: String) -> String { "count(CASE WHEN \(condition) THEN 1 END)" }
        func isA(_ kind: String) -> String { "typeof(\(column)) = '\(kind)'" }
        return [
            count(isA("null")), count(isA("integer")), count(isA("real")), count(isA("text")), count(isA("blob")),
            "min(CASE WHEN \(isA("integer")) THEN \(column) END)",
            "max(CASE WHEN \(isA("integer")) THEN \(column) END)",
            count("\(isA("real")) AND abs(\(column)) = 9e999"),
            count("\(isA("real")) AND CAST(CAST(\(column) AS TEXT) AS REAL) <> \(column)"),
            count("\(isA("text")) AND instr(\(column), char(0)) > 0"),
            "max(CASE WHEN typeof(\(column)) IN ('text', 'blob') THEN length(CAST(\(column) AS BLOB)) END)",
            count("\(isA("text")) AND \(column) GLOB \(notASCII)"),
        ]
    }

    private func addFacts(to table: inout SourceTable) throws(ClientError) {
        let source = Self.quoted(table.name)
        table.rowCount = try query("SELECT count(*) FROM \(source)").first?[0].integer ?? 0
        guard table.rowCount > 0 else { return }
        for start in stride(from: 0, to: table.columns.count, by: Self.columnCountAtOnce) {
            let range = start..<min(table.columns.count, start + Self.columnCountAtOnce)
            let list = table.columns[range].flatMap { Self.counts(Self.quoted($0.name)) }
            let width = list.count / range.count
            guard let row = try query("SELECT \(list.joined(separator: ", ")) FROM \(source)").first else { continue }
            for index in range {
                let place = (index - start) * width
                table.columns[index].facts = Self.facts(row, place)
                if (row[place + width - 1].integer ?? 0) > 0 {
                    table.columns[index].facts.invalidTextCount = try invalidTextCount(
                        table.columns[index].name, source)
                }
            }
        }
    }

    private static func facts(_ row: Row, _ place: Int) -> ColumnFacts {
        var facts = ColumnFacts()
        func count(_ index: Int) -> Int64 { row[place + index].integer ?? 0 }
        facts.nullCount = count(0)
        facts.integerCount = count(1)
        facts.realCount = count(2)
        facts.textCount = count(3)
        facts.blobCount = count(4)
        facts.integerMin = row[place + 5].integer
        facts.integerMax = row[place + 6].integer
        facts.infinityCount = count(7)
        facts.inexactCount = count(8)
        facts.nulTextCount = count(9)
        facts.longestByteCount = count(10)
        return facts
    }

    /// The daemon hands out what is not UTF-8 as a blob.
    private func invalidTextCount(_ column: String, _ source: String) throws(ClientError) -> Int64 {
        let name = Self.quoted(column)
        let rows = try session.stream(
            "SELECT \(name) FROM \(source) WHERE typeof(\(name)) = 'text' AND \(name) GLOB \(Self.notASCII)")
        var count: Int64 = 0
        while let row = try rows.next() { if row[0].text == nil { count += 1 } }
        return count
    }
}
