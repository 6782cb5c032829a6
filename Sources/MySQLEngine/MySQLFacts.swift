// What has to be known of a server's definitions to say what a statement changes: which relations are views, which have triggers and
// foreign keys that act, which functions there are. A value that is filled with rows of information_schema (MySQLFactQueries) and asked
// by the connections; it never changes then.

internal import DatabaseContract
internal import SQLText

/// What one statement changes once it is committed.
struct MySQLEffect: Equatable, Sendable {
    /// Of engines with transactions.
    var relations: [String] = []
    /// Of the others: these are changed at once, whatever becomes of the transaction.
    var relationsAtOnce: [String] = []
    var changesSchema = false
    /// Why these are not all.
    var gap: ChangeGap?
    /// Something of the gap may have happened at once.
    var gapIsAtOnce = false
    var ending = MySQLTextChanges.Ending.none
    /// Parts of it may stay when it fails.
    var isDivisible = false
    /// It is done outside of transactions, and ends the open one before that.
    var isDefinition = false
    /// That by which all this was found; `nil` where nothing had to be known.
    var facts: MySQLFacts?

    var isEmpty: Bool { relations.isEmpty && relationsAtOnce.isEmpty && !changesSchema && gap == nil && facts == nil }

    /// Nothing is known of it.
    static let unknown = MySQLEffect(
        gap: .unknownRelations, gapIsAtOnce: true, ending: .mayCommitAndBegin, isDivisible: true)

    /// That of a text of which only what it says of the transaction is certain.
    static func uncertain(_ changes: MySQLTextChanges) -> MySQLEffect {
        var effect = unknown
        effect.ending = changes.ending
        effect.changesSchema = changes.changesSchema
        effect.note(changes)
        return effect
    }

    mutating func note(_ changes: MySQLTextChanges) {
        isDivisible = changes.ending != .none || changes.scope == .anything
        isDefinition = changes.changesSchema
        if case .relations = changes.scope { isDefinition = true }
    }

    static func == (left: MySQLEffect, right: MySQLEffect) -> Bool {
        left.relations == right.relations && left.relationsAtOnce == right.relationsAtOnce
            && left.changesSchema == right.changesSchema && left.gap == right.gap
            && left.gapIsAtOnce == right.gapIsAtOnce
            && left.ending == right.ending && left.isDivisible == right.isDivisible
            && left.isDefinition == right.isDefinition && left.facts === right.facts
    }
}

/// The definitions of one server at one moment, as far as the daemon's login sees them, also by any of its roles. There may be others, which
/// a login of former or later rights sees, or that of a view, and those in the server's own databases: what is not here is not known.
///
/// - Thread: any.
final class MySQLFacts: Sendable {
    struct Relation: Equatable, Sendable {
        enum Kind: Equatable, Sendable { case table, view, sequence }

        var namespace: String
        var name: String
        var kind = Kind.table
        var hasTransactions = true
        /// Rows that are written to it are in it, and nowhere else.
        var isPlain = true
        var hasTriggers = false
        /// Places of those whose foreign keys have them change when rows of this one are deleted or get other keys.
        var children: [Int] = []
    }

    /// A name that matters wherever it stands in a text.
    private enum Mention {
        /// Of a function or a view that may do anything.
        case anything
        case sequence(Int)
    }

    private struct Key: Hashable {
        var namespace: String
        var name: String

        init(_ namespace: String, _ name: String) {
            self.namespace = TextRuns.folded(namespace)
            self.name = TextRuns.folded(name)
        }
    }

    /// What the server has counted by then.
    let fingerprint: String
    private let database: String
    /// Whether that is how the server has the name: it compares letters outside of ASCII by rules of its own.
    private let isDatabaseCertain: Bool
    /// Databases that have relations, and ours, of which the same is certain, as bytes in small ASCII letters.
    private let namespaces: Set<[UInt8]>
    private let relations: [Relation]
    private let places: [Key: [Int]]
    /// Places by the first run of their names.
    private let runs: [String: [Int]]
    private let mentions: [String: [Mention]]
    /// Some name cannot be found in a text by its runs.
    private let hasOddNames: Bool
    private let hasOddMentions: Bool
    /// Databases whose triggers are seen; `nil` for all.
    private let namespacesWithTriggers: Set<String>?
    private let isTransactional: Bool
    /// Places of our sequences: they count on whatever becomes of a statement.
    private let sequences: [Int]
    /// A temporary table can lead to rows of one of ours (ENGINE=MERGE).
    private let canBeMerged: Bool
    /// Those whose foreign keys lead to tables that the login does not see, and may be changed with these by any other.
    private let orphans: [Int]

    /// Relations that one statement is told to change, and bytes of their names.
    private static let relationCountMax = 200
    private static let nameByteCountMax = 16 << 10

    /// What is read of a server; the names are as it has them.
    struct Rows: Equatable, Sendable {
        /// Databases in whose tables the login has the privilege TRIGGER, "*" for all.
        var triggerNamespaces: [String] = []
        /// Database, name, type, engine.
        var tables: [[String]] = []
        /// Database and table.
        var triggers: [[String]] = []
        /// Database, table, referenced database and table, of those that act.
        var foreignKeys: [[String]] = []
        /// Database, name, definition.
        var views: [[String]] = []
        var functions: [String] = []

        /// Adds what is not there yet.
        mutating func formUnion(_ other: Rows) {
            func unite<Row: Hashable>(_ rows: inout [Row], _ others: [Row]) {
                var seen = Set(rows)
                rows += others.filter { seen.insert($0).inserted }
            }
            unite(&triggerNamespaces, other.triggerNamespaces)
            unite(&tables, other.tables)
            unite(&triggers, other.triggers)
            unite(&foreignKeys, other.foreignKeys)
            unite(&views, other.views)
            unite(&functions, other.functions)
        }
    }

    let rows: Rows

    /// Whether statements that were judged by the former ones may have written more than these said: a definition may have been
    /// counted before the former ones were read, and have taken effect after that.
    func mayWriteMore(than former: MySQLFacts) -> Bool {
        !Set(rows.functions).isSubset(of: former.rows.functions)
            || !Set(rows.views).isSubset(of: former.rows.views)
            || !Set(rows.triggers).isSubset(of: former.rows.triggers)
            || !Set(rows.foreignKeys).isSubset(of: former.rows.foreignKeys)
            || !Set(former.rows.triggerNamespaces).isSubset(of: rows.triggerNamespaces)
            || !Set(rows.tables.filter(former.isNews)).isSubset(of: former.rows.tables)
    }

    /// Whether a table that these do not have may have been changed unseen: a write to it was not certain, but what else writes it was.
    private func isNews(_ table: [String]) -> Bool {
        let relation = Self.relation(table)
        let isUnusual = relation.kind != .table || !relation.hasTransactions
        return isUnusual || places[Key(table[0], table[1])] != nil
    }

    init(_ rows: Rows, fingerprint: String, database: String) {
        self.rows = rows
        self.fingerprint = fingerprint
        self.database = TextRuns.folded(database)
        var relations = rows.tables.map(Self.relation)
        var places: [Key: [Int]] = [:]
        for (index, relation) in relations.enumerated() {
            places[Key(relation.namespace, relation.name), default: []].append(index)
        }
        for row in rows.triggers {
            for index in places[Key(row[0], row[1])] ?? [] { relations[index].hasTriggers = true }
        }
        for row in rows.foreignKeys {
            for parent in places[Key(row[2], row[3])] ?? [] {
                relations[parent].children += places[Key(row[0], row[1])] ?? []
            }
        }
        let namespaces = Set(relations.map { Self.bytes($0.namespace) })
        isDatabaseCertain = Self.isASCII(database) || namespaces.contains(Self.bytes(database))
        self.namespaces = namespaces.union([Self.bytes(database)])
        namespacesWithTriggers =
            rows.triggerNamespaces.contains("*") ? nil : Set(rows.triggerNamespaces.map(Self.plain))
        isTransactional = relations.allSatisfy { $0.kind == .view || $0.hasTransactions }
        sequences = relations.indices.filter {
            relations[$0].kind == .sequence && TextRuns.folded(relations[$0].namespace) == TextRuns.folded(database)
        }
        canBeMerged = rows.tables.contains {
            $0[3].lowercased() == "myisam" && TextRuns.folded($0[0]) == TextRuns.folded(database)
        }
        orphans = rows.foreignKeys.filter { places[Key($0[2], $0[3])] == nil }
            .flatMap { places[Key($0[0], $0[1])] ?? [] }
        (runs, hasOddNames) = Self.index(relations.map(\.name))
        var mentions: [String: [Mention]] = [:]
        var isOdd = false
        func add(_ name: String, _ mention: Mention) {
            guard let run = Self.plainRun(of: name) else {
                isOdd = true
                return
            }
            mentions[run, default: []].append(mention)
        }
        for name in rows.functions { add(name, .anything) }
        for (index, relation) in relations.enumerated() where relation.kind == .sequence {
            add(relation.name, .sequence(index))
        }
        for name in MySQLViews(rows.views, tables: rows.tables).namesOfUnknown(functions: rows.functions) {
            add(name, .anything)
        }
        self.mentions = mentions
        hasOddMentions = isOdd
        self.relations = relations
        self.places = places
    }

    /// The name of a database for which a privilege was granted; one that is a pattern is that of none.
    static func plain(_ namespace: String) -> String { TextRuns.folded(namespace.split(separator: "\\").joined()) }

    private static func relation(_ row: [String]) -> Relation {
        let engine = row[3].lowercased()
        var relation = Relation(namespace: row[0], name: row[1])
        relation.kind = row[2].hasSuffix("VIEW") ? .view : row[2] == "SEQUENCE" ? .sequence : .table
        let hasTransactions = enginesWithTransactions.contains(engine)
        // A number that was taken is not given back.
        relation.hasTransactions = hasTransactions && relation.kind != .sequence
        relation.isPlain = hasTransactions || enginesWithout.contains(engine)
        return relation
    }

    private static let enginesWithTransactions: Set<String> = ["innodb", "rocksdb", "tokudb"]
    private static let enginesWithout: Set<String> = ["myisam", "aria", "memory", "archive", "csv", "blackhole"]

    /// The first run of a name of ASCII letters: others may be written in more than one way.
    private static func plainRun(of name: String) -> String? { isASCII(name) ? TextRuns.first(of: name) : nil }

    static func isASCII(_ name: String) -> Bool { name.utf8.allSatisfy { $0 < 0x80 } }

    /// What two names have in common that are the same but for the case of ASCII letters. (Strings that Unicode has for the same may be
    /// two names of the server's.)
    private static func bytes(_ name: String) -> [UInt8] { Array(TextRuns.folded(name).utf8) }

    private static func index(_ names: [String]) -> (runs: [String: [Int]], isOdd: Bool) {
        var runs: [String: [Int]] = [:]
        var isOdd = false
        for (index, name) in names.enumerated() {
            if let run = plainRun(of: name) { runs[run, default: []].append(index) } else { isOdd = true }
        }
        return (runs, isOdd)
    }

    // MARK: Asking

    /// Whether a text tells what it changes on a connection on which others may have left something.
    /// - Cost: linear in the text.
    func isClear(_ sql: UnsafeRawBufferPointer, after aftermath: MySQLTextChanges.Aftermath) -> Bool {
        switch aftermath {
        case .none: true
        case .names: !canBeMerged && sql.allSatisfy { $0 < 0x80 }
        case .everything, .account: false
        }
    }

    /// What a statement changes. `namespace` is the present database of its connection, and `temporaries` are tables that only this has, with
    /// their databases.
    /// - Cost: linear in the text, where a name has to be looked for in it.
    func effect(
        of changes: MySQLTextChanges, _ sql: UnsafeRawBufferPointer, in namespace: String?,
        temporaries: Set<MySQLName> = []
    ) -> MySQLEffect {
        var found = Found(namespace: namespace, temporaries: temporaries, gapIsAtOnce: !isTransactional)
        switch changes.scope {
        case .nothing: break
        case .anything: found.isUnknown = true
        case .rows(let name, let cascades): addRows(of: name, cascades: cascades, to: &found)
        case .namedRelations: addNamed(in: sql, to: &found)
        case .relations(let names): add(names, to: &found)
        }
        if changes.mayCall, !found.isUnknown { addMentioned(in: sql, to: &found) }
        if !isDatabaseCertain, changes.scope != .nothing { found.isUnknown = true }
        return effect(found, changes)
    }

    private func effect(_ found: Found, _ changes: MySQLTextChanges) -> MySQLEffect {
        var effect = MySQLEffect(changesSchema: changes.changesSchema, ending: changes.ending)
        if found.isUnknown {
            effect.gap = .unknownRelations
            effect.gapIsAtOnce = found.gapIsAtOnce || changes.scope == .anything
        }
        for index in found.places.sorted() {
            let relation = relations[index]
            if relation.hasTransactions {
                effect.relations.append(relation.name)
            } else {
                effect.relationsAtOnce.append(relation.name)
            }
        }
        effect.relationsAtOnce += found.names
        effect.note(changes)
        let byteCount = (effect.relations + effect.relationsAtOnce).reduce(0) { $0 + $1.utf8.count }
        if found.places.count + found.names.count > Self.relationCountMax || byteCount > Self.nameByteCountMax {
            (effect.relations, effect.relationsAtOnce) = ([], [])
            effect.gap = effect.gap ?? .tooMany
            effect.gapIsAtOnce = !isTransactional
        }
        if case .relations = changes.scope, !changes.mayCall { return effect }
        // Also where nothing is found, such as of another database: by others there might be more.
        if !effect.isEmpty || changes.scope != .nothing { effect.facts = self }
        return effect
    }

    /// What has been found so far.
    private struct Found {
        var places: Set<Int> = []
        /// Those that a definition names.
        var names: [String] = []
        var isUnknown = false
        let namespace: String?
        let temporaries: Set<MySQLName>
        var gapIsAtOnce: Bool

        init(namespace: String?, temporaries: Set<MySQLName>, gapIsAtOnce: Bool) {
            self.namespace = namespace
            self.temporaries = temporaries
            self.gapIsAtOnce = gapIsAtOnce
        }
    }

    /// A relation that is one of these, with its database. One that is not is temporary only where the connection itself has made it so;
    /// else `found` is unknown, and as it is not seen, it may be one without transactions.
    private func known(_ name: MySQLName, _ found: inout Found) -> Key? {
        if let namespace = name.namespace ?? found.namespace {
            let key = Key(namespace, name.name)
            if places[key] != nil || found.temporaries.contains(MySQLName(namespace: namespace, name: name.name)) {
                return key
            }
        }
        (found.isUnknown, found.gapIsAtOnce) = (true, true)
        return nil
    }

    private func addRows(of name: MySQLName, cascades: Bool, to found: inout Found) {
        guard let name = known(name, &found) else { return }
        for place in places[name] ?? [] { add(place, cascades: cascades, to: &found) }
        addSequences(to: &found)
    }

    /// Rows of a table, or of a temporary one, whose default takes a number change the sequence without naming it.
    private func addSequences(to found: inout Found) { if !found.isUnknown { found.places.formUnion(sequences) } }

    private func add(_ first: Int, cascades: Bool, to found: inout Found) {
        var due = [first] + (cascades ? orphans : [])
        var seen = Set(due)
        while let place = due.popLast() {
            let relation = relations[place]
            let seesTriggers = namespacesWithTriggers?.contains(TextRuns.folded(relation.namespace)) ?? true
            guard relation.kind != .view, relation.isPlain, !relation.hasTriggers, seesTriggers else {
                found.isUnknown = true
                return
            }
            if isOurs(relation) { found.places.insert(place) }
            if cascades { due += relation.children.filter { seen.insert($0).inserted } }
        }
    }

    private func isOurs(_ relation: Relation) -> Bool { TextRuns.folded(relation.namespace) == database }

    private func addNamed(in sql: UnsafeRawBufferPointer, to found: inout Found) {
        guard !hasOddNames, !TextRuns.mayHaveExecutableComment(sql), let tables = MySQLTableNames.find(in: sql) else {
            found.isUnknown = true
            return
        }
        for table in tables where known(table, &found) == nil { return }
        var named: Set<Int> = []
        TextRuns.forEach(sql) { run in
            if let places = runs[run] { named.formUnion(places) }
            return true
        }
        if named.count > Self.relationCountMax { found.isUnknown = true }
        for place in named where !found.isUnknown { add(place, cascades: true, to: &found) }
        addSequences(to: &found)
    }

    private func add(_ names: [MySQLName], to found: inout Found) {
        for name in names {
            guard let namespace = name.namespace ?? found.namespace else {
                found.isUnknown = true
                return
            }
            guard Self.isASCII(namespace) || namespaces.contains(Self.bytes(namespace)) else {
                found.isUnknown = true
                return
            }
            guard TextRuns.folded(namespace) == database else { continue }
            guard Self.isASCII(name.name) || isRelation(name.name, in: namespace) else {
                found.isUnknown = true
                return
            }
            found.names.append(name.name)
        }
    }

    /// Whether a relation is called so, letter by letter but for the case of those of ASCII.
    private func isRelation(_ name: String, in namespace: String) -> Bool {
        let bytes = Self.bytes(name)
        return (places[Key(namespace, name)] ?? []).contains { Self.bytes(relations[$0].name) == bytes }
    }

    /// Functions and views that may do anything, and sequences.
    private func addMentioned(in sql: UnsafeRawBufferPointer, to found: inout Found) {
        if hasOddMentions {
            found.isUnknown = true
            return
        }
        if mentions.isEmpty { return }
        if TextRuns.mayHaveExecutableComment(sql) {
            found.isUnknown = true
            return
        }
        TextRuns.forEach(sql) { run in
            for mention in mentions[run] ?? [] {
                switch mention {
                case .anything: found.isUnknown = true
                case .sequence(let place):
                    if isOurs(relations[place]) { found.places.insert(place) }
                    found.isUnknown = found.isUnknown || !isDatabaseCertain
                }
            }
            return !found.isUnknown
        }
    }
}

/// Views, of which some may do more than read.
private struct MySQLViews {
    private struct View {
        var name: String
        var definition: [UInt8]
        var isUnknown: Bool
    }

    private let views: [View]

    init(_ rows: [[String]], tables: [[String]]) {
        let seen = Set(tables.map { [TextRuns.folded($0[0]), TextRuns.folded($0[1])] })
        views = rows.map { row in
            let definition = Array(row[2].utf8)
            let isPlain = definition.withUnsafeBytes { PlainStatement.isPlain($0, .mysql) }
            return View(
                name: row[1], definition: definition,
                isUnknown: definition.isEmpty || !isPlain || Self.namesHidden(definition, seen: seen))
        }
    }

    /// Whether it may read a relation that the login does not see, by the rights of its definer; nobody can make one in `withoutOthers`.
    private static func namesHidden(_ definition: [UInt8], seen: Set<[String]>) -> Bool {
        WordsOfView(text: definition).relations.contains { relation in
            let name = relation.map(TextRuns.folded)
            return !seen.contains(name) && !withoutOthers.contains(name[0])
        }
    }

    private static let withoutOthers: Set<String> = ["information_schema", "performance_schema"]

    /// Those that may do anything, and those that read them.
    func namesOfUnknown(functions: [String]) -> [String] {
        var views = views
        var unknown = Set(functions.compactMap(TextRuns.first))
        var names: [String] = []
        var hasGrown = true
        while hasGrown {
            hasGrown = false
            for index in views.indices {
                if !views[index].isUnknown {
                    guard mentions(views[index].definition, unknown) else { continue }
                }
                names.append(views[index].name)
                if let run = TextRuns.first(of: views[index].name), unknown.insert(run).inserted { hasGrown = true }
                views[index].isUnknown = false
                views[index].definition = []
            }
        }
        return names
    }

    private func mentions(_ definition: [UInt8], _ unknown: Set<String>) -> Bool {
        var isMentioned = false
        definition.withUnsafeBytes { bytes in
            TextRuns.forEach(bytes) { run in
                isMentioned = unknown.contains(run)
                return !isMentioned
            }
        }
        return isMentioned
    }
}

/// The definition of a view as servers write it: each relation behind FROM or JOIN, with its database.
private struct WordsOfView {
    let text: [UInt8]

    /// The database and the name of each.
    var relations: [[String]] { text.indices.lazy.filter(isBehindFrom).compactMap(relation) }

    private func relation(from index: Int) -> [String]? {
        var start = index
        while start < text.count, text[start].isBlank || text[start] == UInt8(ascii: "(") { start += 1 }
        guard let namespace = name(from: &start), start < text.count, text[start] == UInt8(ascii: ".") else {
            return nil
        }
        start += 1
        return name(from: &start).map { [namespace, $0] }
    }

    private func name(from start: inout Int) -> String? {
        guard start < text.count, text[start] == UInt8(ascii: "`") else { return nil }
        var name: [UInt8] = []
        let (end, isClosed) = QuotedText.read(text, from: start) { name.append($0) }
        start = end
        return isClosed ? String(decoding: name, as: UTF8.self) : nil
    }

    private func isBehindFrom(_ index: Int) -> Bool {
        guard index >= 5, text[index].isBlank || text[index] == UInt8(ascii: "(") else { return false }
        let word = String(decoding: text[(index - 4)..<index], as: UTF8.self)
        return word == "from" || word == "join"
    }
}
