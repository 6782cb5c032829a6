// The records of a catalog: of fixed size, with texts, lists and maps as places in the index's memory.

/// The place of a text in an index, or in its builder; equal texts have one place.
public struct CatalogText: Hashable, Sendable {
    let place: UInt32

    /// No text: null.
    public static let none = CatalogText(place: 0)
    public var isNone: Bool { place == 0 }
}

/// The place of the text that makes an object; apart from the others, since such texts are long and no two are equal.
public struct CatalogDefinition: Hashable, Sendable {
    let place: UInt32

    public static let none = CatalogDefinition(place: 0)
    public var isNone: Bool { place == 0 }
}

/// The place of a list of texts, some of which may be null.
public struct CatalogList: Hashable, Sendable {
    let place: UInt32

    public static let none = CatalogList(place: 0)
    public var isNone: Bool { place == 0 }
}

/// A schema, an attached database, or what else qualifies the names of relations.
public struct NamespaceRecord: Sendable {
    public var name: CatalogText
    /// Names without a namespace are looked up there.
    public var isDefault = false
    public var owner = CatalogText.none
    public var comment = CatalogText.none
    /// A JSON object: what only one engine has.
    public var extra = CatalogText.none

    public init(name: CatalogText) { self.name = name }
}

/// A table, a view, and whatever else has rows.
public struct RelationRecord: Sendable {
    public var name: CatalogText
    /// The number of its namespace.
    public var namespace: UInt32
    public var comment = CatalogText.none
    public var definition = CatalogDefinition.none
    /// A JSON object: what only one engine has.
    public var extra = CatalogText.none
    private var knownRowEstimate: Int64 = -1
    private var knownSizeBytes: Int64 = -1
    public var kind: CatalogKind

    public init(name: CatalogText, namespace: UInt32, kind: CatalogKind) {
        self.name = name
        self.namespace = namespace
        self.kind = kind
    }

    /// About how many rows it has; `nil` where the engine does not know it without counting.
    public var rowEstimate: Int64? {
        get { knownRowEstimate < 0 ? nil : knownRowEstimate }
        set { knownRowEstimate = newValue ?? -1 }
    }
    /// Bytes on disk; `nil` where the engine does not know them.
    public var sizeBytes: Int64? {
        get { knownSizeBytes < 0 ? nil : knownSizeBytes }
        set { knownSizeBytes = newValue ?? -1 }
    }
}

/// A column of a relation. What few columns have is beside it (`ColumnDetails`), since there may be a million.
public struct ColumnRecord: Sendable {
    public var name: CatalogText
    public var type: CatalogText
    /// The number of its relation.
    public var relation: UInt32
    /// Its number among the details, and 1; 0 without any.
    var details: UInt32 = 0
    /// From 1 on, as the engine counts.
    public var position: UInt16
    /// Its place in the primary key, from 1 on; 0 for none.
    public var keyPosition: UInt16 = 0
    public var generated = GeneratedColumn.no
    public var identity = IdentityColumn.no
    public var isNullable = true
    /// `SELECT *` does not have it.
    public var isHidden = false

    public init(relation: UInt32, name: CatalogText, position: UInt16, type: CatalogText) {
        self.relation = relation
        self.name = name
        self.position = position
        self.type = type
    }
}

/// What few columns have.
public struct ColumnDetails: Hashable, Sendable {
    public var defaultValue = CatalogText.none
    public var collation = CatalogText.none
    public var comment = CatalogText.none
    /// A JSON object: what only one engine has.
    public var extra = CatalogText.none

    public init() {}

    var isEmpty: Bool { self == ColumnDetails() }
}

/// A primary key or a unique constraint.
public struct KeyRecord: Sendable {
    public var name = CatalogText.none
    public var relation: UInt32
    public var columns: CatalogList
    /// A JSON object: what only one engine has.
    public var extra = CatalogText.none
    public var kind: CatalogKind

    public init(relation: UInt32, kind: CatalogKind, columns: CatalogList) {
        self.relation = relation
        self.kind = kind
        self.columns = columns
    }
}

/// A foreign key: both sides are complete and in the same order.
public struct ForeignKeyRecord: Sendable {
    public var name = CatalogText.none
    public var relation: UInt32
    public var columns: CatalogList
    public var targetNamespace: CatalogText
    public var targetRelation: CatalogText
    public var targetColumns: CatalogList
    public var onUpdate = CatalogText.none
    public var onDelete = CatalogText.none
    /// A JSON object: what only one engine has.
    public var extra = CatalogText.none
    /// The number of the relation that it leads to, if the catalog has it.
    var target: UInt32 = .max

    public init(
        relation: UInt32, columns: CatalogList, targetNamespace: CatalogText, targetRelation: CatalogText,
        targetColumns: CatalogList
    ) {
        self.relation = relation
        self.columns = columns
        self.targetNamespace = targetNamespace
        self.targetRelation = targetRelation
        self.targetColumns = targetColumns
    }
}

/// An index; null among its columns is an expression.
public struct IndexRecord: Sendable {
    public var name: CatalogText
    public var relation: UInt32
    public var columns: CatalogList
    public var method = CatalogText.none
    public var predicate = CatalogText.none
    public var definition = CatalogDefinition.none
    /// A JSON object: what only one engine has.
    public var extra = CatalogText.none
    public var isUnique = false

    public init(relation: UInt32, name: CatalogText, columns: CatalogList) {
        self.relation = relation
        self.name = name
        self.columns = columns
    }
}

public struct TriggerRecord: Sendable {
    public var name: CatalogText
    public var relation: UInt32
    public var timing = CatalogText.none
    public var events = CatalogList.none
    public var definition = CatalogDefinition.none
    /// A JSON object: what only one engine has.
    public var extra = CatalogText.none

    public init(relation: UInt32, name: CatalogText) {
        self.relation = relation
        self.name = name
    }
}

/// A function or procedure; several may have one name.
public struct RoutineRecord: Sendable {
    public var name: CatalogText
    public var namespace: UInt32
    public var arguments = CatalogText.none
    public var returns = CatalogText.none
    public var language = CatalogText.none
    public var comment = CatalogText.none
    public var definition = CatalogDefinition.none
    /// A JSON object: what only one engine has.
    public var extra = CatalogText.none
    public var kind: CatalogKind

    public init(namespace: UInt32, name: CatalogText, kind: CatalogKind) {
        self.namespace = namespace
        self.name = name
        self.kind = kind
    }
}

public struct TypeRecord: Sendable {
    public var name: CatalogText
    public var namespace: UInt32
    public var labels = CatalogList.none
    public var base = CatalogText.none
    public var comment = CatalogText.none
    public var definition = CatalogDefinition.none
    /// A JSON object: what only one engine has.
    public var extra = CatalogText.none
    public var kind: CatalogKind

    public init(namespace: UInt32, name: CatalogText, kind: CatalogKind) {
        self.namespace = namespace
        self.name = name
        self.kind = kind
    }
}

// MARK: What records have in common

/// A record that belongs to a relation.
protocol RecordOfRelation {
    var relation: UInt32 { get set }
}

extension ColumnRecord: RecordOfRelation {}
extension KeyRecord: RecordOfRelation {}
extension ForeignKeyRecord: RecordOfRelation {}
extension IndexRecord: RecordOfRelation {}
extension TriggerRecord: RecordOfRelation {}

/// A record with a name in a namespace.
protocol RecordOfNamespace {
    var namespace: UInt32 { get }
    var name: CatalogText { get }
}

extension RelationRecord: RecordOfNamespace {}
extension RoutineRecord: RecordOfNamespace {}
extension TypeRecord: RecordOfNamespace {}
