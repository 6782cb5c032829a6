// From the rows of an engine's statement to records.

/// Takes the rows that an engine's statement has for one level.
///
/// The columns of a statement have the names of the level's, in any order; others are left out. A list may be told in several rows
/// that follow each other: `column`, `target_column`, `expression`, `event` and `label` are elements of it, `ordinal` their number,
/// and what is told once is in the first of them. A relation that is there already gets what is not null.
/// - Thread: one at a time.
public final class CatalogFeed {
    public let level: CatalogLevel
    let builder: CatalogBuilder
    /// Reads what an engine has in `definition` only.
    private let complete: ((CatalogFeed) -> Void)?
    // One thread at a time has it, and no call reaches back into it: the checks would be a fifth of what a row costs.
    @exclusivity(unchecked) private var fields: [CatalogField?] = []
    @exclusivity(unchecked) private var place = 0
    @exclusivity(unchecked) private var cells: [Cell]
    /// The fields that the row has, a bit for each; the cells of others are those of former rows.
    @exclusivity(unchecked) private var present: UInt64 = 0
    /// The last texts of each field: most texts are those of the row before.
    @exclusivity(unchecked) private var lastTexts: [CatalogText]
    @exclusivity(unchecked) private var definitionBytes: [UInt8] = []
    /// Columns of the row's relation that its definition tells.
    @exclusivity(unchecked) private var toldColumns: [(record: ColumnRecord, details: ColumnDetails)] = []
    @exclusivity(unchecked) private var group: CatalogGroup?
    /// The relation of the row before, and by which texts it was found: most columns follow another of their relation.
    @exclusivity(unchecked) private var lastRelation: (namespace: CatalogText, name: CatalogText, number: UInt32)?
    /// Records that were taken since the size was looked at.
    @exclusivity(unchecked) private var uncheckedCount = 0
    /// Rows, and columns that were told with one, so far.
    @exclusivity(unchecked) public private(set) var recordCount = 0

    enum Cell: Equatable {
        case null
        case integer(Int64)
        case text(CatalogText)
    }

    /// - Parameters:
    ///   - level: what the rows are.
    ///   - builder: what takes them.
    ///   - complete: called for each row, before it is taken.
    public init(_ level: CatalogLevel, into builder: CatalogBuilder, complete: ((CatalogFeed) -> Void)? = nil) {
        self.level = level
        self.builder = builder
        self.complete = complete
        cells = Array(repeating: .null, count: CatalogField.allCases.count)
        lastTexts = Array(repeating: .none, count: CatalogField.allCases.count)
    }

    // MARK: Rows as they come

    /// Announces the columns of the result.
    public func begin(_ names: [[UInt8]]) {
        fields = names.map { name in name.withUnsafeBytes { CatalogField(told: $0, of: level) } }
    }

    public func beginRow() {
        place = 0
        present = 0
        definitionBytes.removeAll(keepingCapacity: true)
        toldColumns.removeAll(keepingCapacity: true)
    }

    public func null() { place += 1 }

    public func integer(_ value: Int64) {
        defer { place += 1 }
        guard place < fields.count, let field = fields[place] else { return }
        put(field, .integer(value))
    }

    @inline(__always)
    private func put(_ field: CatalogField, _ cell: Cell) {
        cells[Int(field.rawValue)] = cell
        present |= 1 << UInt64(field.rawValue)
    }

    /// What the row has of a field.
    @inline(__always)
    private func cell(_ field: CatalogField) -> Cell {
        present & 1 << UInt64(field.rawValue) == 0 ? .null : cells[Int(field.rawValue)]
    }

    public func text(_ bytes: UnsafeRawBufferPointer) {
        defer { place += 1 }
        guard place < fields.count, let field = fields[place] else { return }
        set(field, bytes)
    }

    /// Ends the row.
    /// - Throws: `CatalogError` if it does not fit.
    public func endRow() throws(CatalogError) {
        if !definitionBytes.isEmpty { complete?(self) }
        try take()
        let count = 1 + toldColumns.count
        recordCount += count
        uncheckedCount += count
        guard uncheckedCount >= Self.uncheckedCountMax else { return }
        uncheckedCount = 0
        try builder.checkSize()
    }

    private static let uncheckedCountMax = 256

    /// Ends the result.
    public func end() throws(CatalogError) {
        flush()
        try builder.checkSize()
    }

    /// Forgets what was told: the statement begins again.
    public func restart() {
        group = nil
        lastRelation = nil
        uncheckedCount = 0
    }

    // MARK: What a row has

    /// The text that makes the object; empty if the statement does not have it.
    public var definition: [UInt8] { definitionBytes }

    public func set(_ field: CatalogField, _ bytes: UnsafeRawBufferPointer) {
        switch field.shape {
        case .integer: put(field, Self.number(bytes).map { .integer($0) } ?? .null)
        case .bool: put(field, .integer(Self.isTrue(bytes) ? 1 : 0))
        case .text where field == .definition:
            definitionBytes.removeAll(keepingCapacity: true)
            definitionBytes.append(contentsOf: bytes)
        case .map: put(field, .text(builder.object(bytes)))
        case .text, .list:
            let last = lastTexts[Int(field.rawValue)]
            let isLast = !last.isNone && builder.pool.bytes(last).elementsEqualFast(bytes)
            let text = isLast ? last : builder.text(bytes)
            lastTexts[Int(field.rawValue)] = text
            put(field, .text(text))
        }
    }

    public func set(_ field: CatalogField, _ text: String) {
        var text = text
        text.withUTF8 { set(field, UnsafeRawBufferPointer($0)) }
    }

    /// Whether the row is that of a table with rows of its own.
    public var isTable: Bool {
        guard level == .relations, case .text(let kind) = cell(.kind) else { return false }
        return CatalogKind(builder.pool.bytes(kind)) == .table
    }

    /// Tells a column of the row's relation, which comes with the relation: the next one in order.
    /// - Parameters:
    ///   - name: its name.
    ///   - type: empty for none.
    ///   - defaultValue: empty for none.
    ///   - isNullable: whether it may be null.
    ///   - keyPosition: its place in the primary key, from 1 on; 0 for none.
    ///   - identity: where its values come from.
    public func tellColumn(
        _ name: UnsafeRawBufferPointer, type: UnsafeRawBufferPointer, defaultValue: UnsafeRawBufferPointer,
        isNullable: Bool, keyPosition: Int, identity: IdentityColumn
    ) {
        var record = ColumnRecord(
            relation: 0, name: builder.text(name), position: UInt16(clamping: toldColumns.count + 1),
            type: type.isEmpty ? .none : builder.text(type))
        record.isNullable = isNullable
        record.keyPosition = UInt16(clamping: keyPosition)
        record.identity = identity
        var details = ColumnDetails()
        if !defaultValue.isEmpty { details.defaultValue = builder.text(defaultValue) }
        toldColumns.append((record, details))
    }

    private static func number(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        Int64(String(decoding: bytes, as: UTF8.self))
    }

    private static func isTrue(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first else { return false }
        return [UInt8(ascii: "t"), UInt8(ascii: "y"), UInt8(ascii: "1")].contains(first.folded)
    }

    func text(_ field: CatalogField) -> CatalogText {
        switch cell(field) {
        case .null: .none
        case .text(let text): text
        case .integer(let value): builder.text("\(value)")
        }
    }

    func integer(_ field: CatalogField) -> Int64? {
        guard case .integer(let value) = cell(field) else { return nil }
        return value
    }

    func bool(_ field: CatalogField, orElse other: Bool) -> Bool { integer(field).map { $0 != 0 } ?? other }

    func word<Word: CatalogWord>(_ field: CatalogField, _ type: Word.Type) throws(CatalogError) -> Word? {
        let text = text(field)
        if text.isNone { return nil }
        guard let word = Word(builder.pool.bytes(text)) else { throw .unfit(level: level, column: field.name) }
        return word
    }

    private var keptDefinition: CatalogDefinition {
        definitionBytes.isEmpty ? .none : definitionBytes.withUnsafeBytes { builder.definition($0) }
    }

    // MARK: Records

    private func take() throws(CatalogError) {
        switch level {
        case .namespaces: takeNamespace()
        case .relations: try takeRelation()
        case .columns: try takeColumn()
        case .routines: try takeRoutine()
        case .keys, .foreignKeys, .indexes, .triggers, .types: try takePart()
        }
    }

    private func takeNamespace() {
        var record = NamespaceRecord(name: text(.name))
        record.isDefault = bool(.isDefault, orElse: false)
        record.owner = text(.owner)
        record.comment = text(.comment)
        record.extra = text(.extra)
        builder.add(record)
    }

    private func takeRelation() throws(CatalogError) {
        guard let namespace = builder.namespace(named: text(.namespace)) else { return }
        let name = text(.name)
        if let known = builder.relation(exactly: name, in: namespace) { return try update(Int(known)) }
        guard let kind = try word(.kind, CatalogKind.self) else { return }
        var record = RelationRecord(name: name, namespace: namespace, kind: kind)
        record.comment = text(.comment)
        record.rowEstimate = integer(.rowEstimate)
        record.sizeBytes = integer(.sizeBytes)
        record.definition = keptDefinition
        record.extra = text(.extra)
        let number = builder.add(record, hasToldColumns: !toldColumns.isEmpty)
        for var column in toldColumns {
            column.record.relation = number
            builder.add(column.record, column.details)
        }
    }

    private func update(_ number: Int) throws(CatalogError) {
        if let kind = try word(.kind, CatalogKind.self) { builder.relations[number].kind = kind }
        if let count = integer(.rowEstimate) { builder.relations[number].rowEstimate = count }
        if let size = integer(.sizeBytes) { builder.relations[number].sizeBytes = size }
        if !definitionBytes.isEmpty { builder.relations[number].definition = keptDefinition }
        builder.noteUpdate(of: number)
    }

    private func takeColumn() throws(CatalogError) {
        guard let relation = relation() else { return }
        var record = ColumnRecord(
            relation: relation, name: text(.name), position: UInt16(clamping: integer(.position) ?? 0),
            type: text(.type))
        record.isNullable = bool(.nullable, orElse: true)
        record.isHidden = bool(.hidden, orElse: false)
        record.keyPosition = UInt16(clamping: integer(.keyPosition) ?? 0)
        record.generated = try word(.generated, GeneratedColumn.self) ?? .no
        record.identity = try word(.identity, IdentityColumn.self) ?? .no
        var details = ColumnDetails()
        details.defaultValue = text(.defaultValue)
        details.collation = text(.collation)
        details.comment = text(.comment)
        details.extra = text(.extra)
        builder.add(record, details)
    }

    private func takeRoutine() throws(CatalogError) {
        guard let namespace = builder.namespace(named: text(.namespace)), let kind = try word(.kind, CatalogKind.self)
        else { return }
        var record = RoutineRecord(namespace: namespace, name: text(.name), kind: kind)
        record.arguments = text(.arguments)
        record.returns = text(.returns)
        record.language = text(.language)
        record.comment = text(.comment)
        record.definition = keptDefinition
        record.extra = text(.extra)
        builder.add(record)
    }

    /// The relation of the row; of a trigger in SQLite's `temp`, that may be one of the default namespace.
    private func relation() -> UInt32? {
        let (space, name) = (text(.namespace), text(.relation))
        if let lastRelation, lastRelation.name == name, lastRelation.namespace == space { return lastRelation.number }
        if let namespace = builder.namespace(named: space), let found = builder.relation(named: name, in: namespace) {
            lastRelation = (space, name, found)
            return found
        }
        guard level == .triggers, let other = builder.namespaces.firstIndex(where: \.isDefault) else { return nil }
        return builder.relation(named: name, in: UInt32(other))
    }

    // MARK: Groups

    private func takePart() throws(CatalogError) {
        let owner =
            level == .types ? builder.namespace(named: text(.namespace)) : relation()
        guard let owner else { return flush() }
        let ordinal = integer(.ordinal) ?? 0
        if let group, group.owner == owner, group.name == text(.name),
            ordinal == 0 ? level == .triggers : ordinal > group.lastOrdinal
        {
            self.group?.lastOrdinal = ordinal
        } else {
            flush()
            group = CatalogGroup(owner: owner, name: text(.name), lastOrdinal: ordinal)
            group?.definition = keptDefinition
            group?.isUnique = bool(.unique, orElse: false)
            group?.kind = try word(.kind, CatalogKind.self)
            group?.texts = [
                text(.extra), text(.targetNamespace), text(.targetRelation), text(.onUpdate), text(.onDelete),
                text(.method), text(.predicate), text(.timing), text(.base), text(.comment),
            ]
        }
        addPart()
    }

    private func addPart() {
        group?.extras.append(text(.extra))
        switch level {
        case .triggers: if !text(.event).isNone { group?.elements.append(text(.event)) }
        case .types: if !text(.label).isNone { group?.elements.append(text(.label)) }
        case .keys, .foreignKeys, .indexes:
            group?.elements.append(text(.column))
            group?.targets.append(text(.targetColumn))
            group?.expressions.append(text(.expression))
        case .namespaces, .relations, .columns, .routines: break
        }
    }

    private func flush() {
        guard let group else { return }
        self.group = nil
        group.add(to: builder, level)
    }
}

/// An object that is told in several rows.
struct CatalogGroup {
    var owner: UInt32
    var name: CatalogText
    var lastOrdinal: Int64
    var definition = CatalogDefinition.none
    var isUnique = false
    var kind: CatalogKind?
    /// extra, target_namespace, target_relation, on_update, on_delete, method, predicate, timing, base, comment.
    var texts: [CatalogText] = []
    var elements: [CatalogText] = []
    var targets: [CatalogText] = []
    var expressions: [CatalogText] = []
    var extras: [CatalogText] = []

    init(owner: UInt32, name: CatalogText, lastOrdinal: Int64) {
        self.owner = owner
        self.name = name
        self.lastOrdinal = lastOrdinal
    }

    func add(to builder: CatalogBuilder, _ level: CatalogLevel) {
        switch level {
        case .keys:
            guard let kind else { return }
            var record = KeyRecord(relation: owner, kind: kind, columns: builder.list(elements))
            record.name = name
            record.extra = texts[0]
            builder.add(record)
        case .foreignKeys:
            var record = ForeignKeyRecord(
                relation: owner, columns: builder.list(elements), targetNamespace: texts[1], targetRelation: texts[2],
                targetColumns: builder.list(targets))
            record.name = name
            record.onUpdate = texts[3]
            record.onDelete = texts[4]
            record.extra = texts[0]
            builder.add(record)
        case .indexes:
            var record = IndexRecord(relation: owner, name: name, columns: builder.list(elements))
            record.isUnique = isUnique
            record.method = texts[5]
            record.predicate = texts[6]
            record.definition = definition
            record.extra = extraOfParts(builder)
            builder.add(record)
        case .triggers:
            var record = TriggerRecord(relation: owner, name: name)
            record.timing = texts[7]
            record.events = builder.list(elements)
            record.definition = definition
            record.extra = texts[0]
            builder.add(record)
        case .types:
            guard let kind else { return }
            var record = TypeRecord(namespace: owner, name: name, kind: kind)
            record.labels = elements.isEmpty ? .none : builder.list(elements)
            record.base = kind == .composite ? .none : texts[8]
            record.comment = texts[9]
            record.definition = definition
            record.extra = texts[0]
            builder.add(record)
        case .namespaces, .relations, .columns, .routines: break
        }
    }

    /// The expressions of an index, and what is said of its further columns, as members of `extra`.
    private func extraOfParts(_ builder: CatalogBuilder) -> CatalogText {
        var members: [String] = []
        if expressions.contains(where: { !$0.isNone }) {
            members.append("\"expressions\":[\(expressions.map { builder.quoted($0) }.joined(separator: ","))]")
        }
        if extras.dropFirst().contains(where: { !$0.isNone }) {
            let parts = extras.map { $0.isNone ? "null" : builder.string($0) }
            members.append("\"parts\":[\(parts.joined(separator: ","))]")
        }
        return members.isEmpty ? texts[0] : builder.text(builder.joined(texts[0], members))
    }
}
