// Collecting what an engine tells, in whatever order, until it is put in order as an index.

/// What cannot become an index.
public enum CatalogError: Error, Equatable {
    /// It needs more than that many bytes.
    case tooLarge(byteCountMax: Int)
    /// The engine has told something that has no place in the level.
    case unfit(level: CatalogLevel, column: String)
}

/// Makes a `CatalogIndex`.
///
/// Records are added in any order, but namespaces before what is in them, and relations before what belongs to them.
/// - Thread: one at a time.
/// - Cost: some 50 ns for each text that is new; nothing is allocated for a single record.
public final class CatalogBuilder: @unchecked Sendable {
    // One thread at a time has it, and no call reaches back into it: the checks would be a fifth of what a row costs.
    @exclusivity(unchecked) var pool = CatalogPool()
    @exclusivity(unchecked) private var table = TextTable()
    @exclusivity(unchecked) private(set) var namespaces: [NamespaceRecord] = []
    @exclusivity(unchecked) var relations: [RelationRecord] = []
    @exclusivity(unchecked) var columns: [ColumnRecord] = []
    @exclusivity(unchecked) private(set) var details: [ColumnDetails] = []
    var keys: [KeyRecord] = []
    var foreignKeys: [ForeignKeyRecord] = []
    private(set) var indexes: [IndexRecord] = []
    private(set) var triggers: [TriggerRecord] = []
    private(set) var routines: [RoutineRecord] = []
    private(set) var types: [TypeRecord] = []
    @exclusivity(unchecked) private var detailNumbers = NumberTable()
    @exclusivity(unchecked) private var relationNumbers = NumberTable()
    /// Relations of which the columns were not told with them.
    public private(set) var untoldCount = 0
    private var foldedNumbers: [[UInt8]: UInt32] = [:]
    private var foldedCount = 0
    /// Bytes of the names of relations, which an index has once more for its searches.
    private var nameByteCount = 0
    @exclusivity(unchecked) private var lastRelation: (key: UInt64, number: UInt32)?
    /// Whether texts that make objects are kept.
    public let keepsDefinitions: Bool
    /// Whether names differ if their letters differ only in case.
    public let isCaseSensitive: Bool
    private let byteCountMax: Int
    /// Of all records, in order.
    @exclusivity(unchecked) private var digest: UInt64 = 1

    /// - Parameters:
    ///   - isCaseSensitive: whether `a` and `A` are two names.
    ///   - keepsDefinitions: whether texts that make objects are kept.
    ///   - byteCountMax: the most that the index may need.
    public init(isCaseSensitive: Bool, keepsDefinitions: Bool, byteCountMax: Int) {
        self.isCaseSensitive = isCaseSensitive
        self.keepsDefinitions = keepsDefinitions
        // Places are 32 bits wide.
        self.byteCountMax = min(byteCountMax, Int(UInt32.max) / 2)
    }

    /// Bytes that it has collected.
    public var byteCount: Int { pool.byteCount + recordByteCount }

    var recordByteCount: Int {
        bytes(namespaces) + bytes(relations) + bytes(columns) + bytes(details) + bytes(keys)
            + bytes(foreignKeys) + bytes(indexes) + bytes(triggers) + bytes(routines) + bytes(types)
            + RelationNames.byteCount(relations: relations.count, names: nameByteCount)
    }

    private func bytes<Record>(_ records: [Record]) -> Int { records.count * MemoryLayout<Record>.stride }

    /// To be asked after each record.
    /// - Throws: `CatalogError.tooLarge`.
    public func checkSize() throws(CatalogError) {
        if byteCount > byteCountMax { throw .tooLarge(byteCountMax: byteCountMax) }
    }

    // MARK: Texts and lists

    public func text(_ bytes: UnsafeRawBufferPointer) -> CatalogText { table.intern(bytes, &pool) }

    public func text(_ string: String) -> CatalogText {
        var string = string
        return string.withUTF8 { text(UnsafeRawBufferPointer($0)) }
    }

    /// A text that makes an object; nothing where none are kept.
    public func definition(_ bytes: UnsafeRawBufferPointer) -> CatalogDefinition {
        keepsDefinitions ? pool.append(definition: bytes) : .none
    }

    public func list(_ texts: [CatalogText]) -> CatalogList { pool.append(texts) }

    // MARK: Records

    /// The number of the namespace with that name.
    public func namespace(named name: CatalogText) -> UInt32? {
        namespaces.firstIndex { $0.name == name }.map { UInt32($0) }
    }

    /// The number of a relation; where case is nothing, also of one whose name differs only in that.
    public func relation(named name: CatalogText, in namespace: UInt32) -> UInt32? {
        let key = UInt64(namespace) << 32 | UInt64(name.place)
        if let lastRelation, lastRelation.key == key { return lastRelation.number }
        guard let number = relation(exactly: name, in: namespace) ?? foldedRelation(named: name, in: namespace) else {
            return nil
        }
        lastRelation = (key, number)
        return number
    }

    func relation(exactly name: CatalogText, in namespace: UInt32) -> UInt32? {
        relationNumbers.find(hash(name, namespace)) {
            relations[$0].name == name && relations[$0].namespace == namespace
        }.map { UInt32($0) }
    }

    private func hash(_ name: CatalogText, _ namespace: UInt32) -> UInt64 {
        NumberTable.hash(UInt64(namespace) << 32 | UInt64(name.place))
    }

    private func foldedRelation(named name: CatalogText, in namespace: UInt32) -> UInt32? {
        guard !isCaseSensitive, !name.isNone else { return nil }
        // Made when it is first needed, which is seldom, and again when there are more relations.
        if foldedNumbers.isEmpty || foldedCount != relations.count {
            foldedNumbers.removeAll()
            for (number, relation) in relations.enumerated() {
                foldedNumbers[folded(relation.name, relation.namespace)] = UInt32(number)
            }
            foldedCount = relations.count
        }
        return foldedNumbers[folded(name, namespace)]
    }

    private func folded(_ name: CatalogText, _ namespace: UInt32) -> [UInt8] {
        pool.bytes(name).map(\.folded) + withUnsafeBytes(of: namespace) { Array($0) }
    }

    /// - Returns: its number.
    @discardableResult
    public func add(_ record: NamespaceRecord) -> UInt32 {
        mix(.namespaces, record.name, record.owner, record.comment, record.extra, record.isDefault ? 1 : 0)
        namespaces.append(record)
        return UInt32(namespaces.count - 1)
    }

    /// - Parameters:
    ///   - record: a relation that is not there.
    ///   - hasToldColumns: all of its columns follow.
    /// - Returns: its number until the index is made.
    @discardableResult
    public func add(_ record: RelationRecord, hasToldColumns: Bool = false) -> UInt32 {
        if !hasToldColumns { untoldCount += 1 }
        mix(
            .relations, record.name, record.comment, .none, record.extra, UInt64(record.kind.rawValue),
            UInt64(record.namespace))
        mix(UInt64(bitPattern: record.rowEstimate ?? -1), UInt64(bitPattern: record.sizeBytes ?? -1))
        relations.append(record)
        nameByteCount += pool.bytes(record.name).count
        relationNumbers.insert(relations.count - 1, hash(record.name, record.namespace))
        return UInt32(relations.count - 1)
    }

    /// Something was said of a relation once more.
    func noteUpdate(of number: Int) {
        let record = relations[number]
        mix(UInt64(bitPattern: record.rowEstimate ?? -1), UInt64(bitPattern: record.sizeBytes ?? -1))
        mix(UInt64(record.kind.rawValue), UInt64(number))
    }

    public func add(_ record: ColumnRecord, _ details: ColumnDetails = ColumnDetails()) {
        let flags =
            UInt64(record.generated.rawValue) | UInt64(record.identity.rawValue) << 8
            | (record.isNullable ? 1 << 16 : 0) | (record.isHidden ? 1 << 17 : 0)
        mix(
            .columns, record.name, record.type, details.defaultValue, details.extra, flags, UInt64(record.relation))
        mix(
            UInt64(record.position) << 32 | UInt64(record.keyPosition),
            UInt64(details.collation.place) << 32 | UInt64(details.comment.place))
        var record = record
        record.details = number(of: details)
        columns.append(record)
    }

    private func number(of details: ColumnDetails) -> UInt32 {
        if details.isEmpty { return 0 }
        let hash = NumberTable.hash(
            UInt64(details.defaultValue.place) << 32 | UInt64(details.collation.place),
            UInt64(details.comment.place) << 32 | UInt64(details.extra.place))
        if let number = detailNumbers.find(hash, { self.details[$0] == details }) { return UInt32(number) + 1 }
        detailNumbers.insert(self.details.count, hash)
        self.details.append(details)
        return UInt32(self.details.count)
    }

    public func add(_ record: KeyRecord) {
        mix(.keys, record.name, .none, .none, record.extra, UInt64(record.columns.place), UInt64(record.relation))
        keys.append(record)
    }

    public func add(_ record: ForeignKeyRecord) {
        mix(
            .foreignKeys, record.name, record.targetNamespace, record.targetRelation, record.extra,
            UInt64(record.columns.place), UInt64(record.relation))
        mix(UInt64(record.targetColumns.place), UInt64(record.onUpdate.place) << 32 | UInt64(record.onDelete.place))
        foreignKeys.append(record)
    }

    public func add(_ record: IndexRecord) {
        mix(
            .indexes, record.name, record.method, record.predicate, record.extra, UInt64(record.columns.place),
            UInt64(record.relation) << 1 | (record.isUnique ? 1 : 0))
        indexes.append(record)
    }

    public func add(_ record: TriggerRecord) {
        mix(
            .triggers, record.name, record.timing, .none, record.extra, UInt64(record.events.place),
            UInt64(record.relation))
        triggers.append(record)
    }

    public func add(_ record: RoutineRecord) {
        mix(
            .routines, record.name, record.arguments, record.returns, record.extra, UInt64(record.language.place),
            UInt64(record.namespace) << 8 | UInt64(record.kind.rawValue))
        mix(UInt64(record.comment.place), 0)
        routines.append(record)
    }

    public func add(_ record: TypeRecord) {
        mix(
            .types, record.name, record.base, record.comment, record.extra, UInt64(record.labels.place),
            UInt64(record.namespace) << 8 | UInt64(record.kind.rawValue))
        types.append(record)
    }

    // MARK: Going back

    /// How much there is at one time.
    public struct Mark: Sendable {
        fileprivate var counts: [Int]
        fileprivate var untoldCount: Int
        fileprivate var definitionsByteCount: Int
        fileprivate var digest: UInt64
    }

    public var mark: Mark {
        Mark(
            counts: [
                namespaces.count, relations.count, columns.count, keys.count, foreignKeys.count, indexes.count,
                triggers.count, routines.count, types.count,
            ], untoldCount: untoldCount, definitionsByteCount: pool.definitionsByteCount, digest: digest)
    }

    /// Forgets the records that were added since: their statement begins again.
    public func goBack(to mark: Mark) {
        lastRelation = nil
        untoldCount = mark.untoldCount
        namespaces.removeSubrange(mark.counts[0]...)
        if mark.counts[1] < relations.count {
            relations.removeSubrange(mark.counts[1]...)
            relationNumbers.removeAll()
            nameByteCount = 0
            for (number, relation) in relations.enumerated() {
                nameByteCount += pool.bytes(relation.name).count
                relationNumbers.insert(number, hash(relation.name, relation.namespace))
            }
        }
        columns.removeSubrange(mark.counts[2]...)
        keys.removeSubrange(mark.counts[3]...)
        foreignKeys.removeSubrange(mark.counts[4]...)
        indexes.removeSubrange(mark.counts[5]...)
        triggers.removeSubrange(mark.counts[6]...)
        routines.removeSubrange(mark.counts[7]...)
        types.removeSubrange(mark.counts[8]...)
        pool.truncateDefinitions(to: mark.definitionsByteCount)
        digest = mark.digest
    }

    // MARK: The digest

    private func mix(
        _ level: CatalogLevel, _ first: CatalogText, _ second: CatalogText, _ third: CatalogText, _ extra: CatalogText,
        _ word: UInt64, _ other: UInt64 = 0
    ) {
        digest = digest.mixed(UInt64(first.place) << 32 | UInt64(second.place))
        digest = digest.mixed(UInt64(third.place) << 32 | UInt64(extra.place))
        mix(word, other << 4 | UInt64(level.rawValue))
    }

    private func mix(_ word: UInt64, _ other: UInt64) {
        digest = digest.mixed(word)
        digest = digest.mixed(other)
    }

    // MARK: The end

    /// Puts everything in order; the builder is useless afterwards.
    /// - Cost: O(n log n) in the relations, linear in all else: some 100 ms for a million columns.
    public func finish() -> CatalogIndex {
        completeKeys()
        let digests = pool.digests
        return CatalogIndex(self, etag: (digest.mixed(digests.content), digests.definitions))
    }

    /// Gives the memory of texts and lists away.
    func takePool() -> CatalogPool {
        var taken = CatalogPool()
        swap(&taken, &pool)
        return taken
    }
}
