// A SQLite database as it was found: what its pragmas tell, the texts of its definitions, and what its values are.

/// What the values of a column are.
public struct ColumnFacts: Equatable, Sendable {
    public var nullCount: Int64 = 0
    public var integerCount: Int64 = 0
    public var realCount: Int64 = 0
    public var textCount: Int64 = 0
    public var blobCount: Int64 = 0
    public var integerMin: Int64?
    public var integerMax: Int64?
    public var infinityCount: Int64 = 0
    /// Reals that are others when their text is read again.
    public var inexactCount: Int64 = 0
    /// Texts with the character 0.
    public var nulTextCount: Int64 = 0
    /// Texts that are not UTF-8.
    public var invalidTextCount: Int64 = 0
    /// Of texts and blobs.
    public var longestByteCount: Int64 = 0

    public init() {}

    var valueCount: Int64 { integerCount + realCount + textCount + blobCount }
    /// Integers that a double does not have.
    var hasWideIntegers: Bool { max(integerMax ?? 0, -(integerMin ?? 0).clamped) > 1 << 53 }
}

extension Int64 {
    /// Itself, or what can be negated.
    fileprivate var clamped: Int64 { Swift.max(self, -Int64.max) }
}

public struct SourceColumn: Equatable, Sendable {
    public var name: String
    public var declaredType: String
    public var isNotNull = false
    /// The text of its default.
    public var defaultText: String?
    /// From 1; 0: it is not in the primary key.
    public var primaryKeyPlace = 0
    public var isGenerated = false
    public var facts = ColumnFacts()

    public init(name: String, declaredType: String) {
        self.name = name
        self.declaredType = declaredType
    }
}

public struct SourceIndex: Equatable, Sendable {
    public enum Origin: String, Sendable {
        case definition = "c"
        case unique = "u"
        case primaryKey = "pk"
    }

    public struct Column: Equatable, Sendable {
        /// `nil` for an expression.
        public var name: String?
        public var collation: String

        public init(name: String?, collation: String) {
            self.name = name
            self.collation = collation
        }
    }

    public var name: String
    public var origin: Origin
    public var isUnique: Bool
    public var sql: String?
    public var columns: [Column]

    public init(name: String, origin: Origin, isUnique: Bool, sql: String?, columns: [Column]) {
        self.name = name
        self.origin = origin
        self.isUnique = isUnique
        self.sql = sql
        self.columns = columns
    }
}

public struct SourceForeignKey: Equatable, Sendable {
    public var table: String
    public var columns: [String]
    /// Empty: the primary key.
    public var targetColumns: [String]
    public var onUpdate: String
    public var onDelete: String

    public init(table: String, columns: [String], targetColumns: [String], onUpdate: String, onDelete: String) {
        self.table = table
        self.columns = columns
        self.targetColumns = targetColumns
        self.onUpdate = onUpdate
        self.onDelete = onDelete
    }
}

public struct SourceTable: Equatable, Sendable {
    public var name: String
    public var sql: String
    public var isWithoutRowid = false
    public var rowCount: Int64 = 0
    public var columns: [SourceColumn] = []
    public var indexes: [SourceIndex] = []
    /// In the order of the text.
    public var foreignKeys: [SourceForeignKey] = []
    /// Rows that have no parent.
    public var orphanCount: Int64 = 0
    /// What AUTOINCREMENT has given last.
    public var sequence: Int64?
    /// Of a virtual table; its rows are read with their rowid, the first of the columns.
    public var module: String?
    /// SQLite takes it for one of a virtual table, by its name.
    public var isShadow = false

    public init(name: String, sql: String) {
        self.name = name
        self.sql = sql
    }

    /// The column that is the rowid.
    /// - Source: sqlite.org/lang_createtable.html, "ROWIDs and the INTEGER PRIMARY KEY"
    var rowidColumn: SourceColumn? {
        let keys = columns.filter { $0.primaryKeyPlace > 0 }
        guard !isWithoutRowid, module == nil, keys.count == 1, keys[0].declaredType.uppercased() == "INTEGER",
            !indexes.contains(where: { $0.origin == .primaryKey })
        else { return nil }
        return keys[0]
    }
}

/// A view, a trigger, or a virtual table whose rows are not copied.
public struct SourceObject: Equatable, Sendable {
    public var name: String
    public var table: String
    public var sql: String

    public init(name: String, table: String, sql: String) {
        self.name = name
        self.table = table
        self.sql = sql
    }
}

/// A table with rows of a virtual table that is not copied.
public struct SourceShadow: Equatable, Sendable {
    public var name: String
    /// The virtual table.
    public var owner: String
    public var rowCount: Int64

    public init(name: String, owner: String, rowCount: Int64) {
        self.name = name
        self.owner = owner
        self.rowCount = rowCount
    }
}

public struct SourceSchema: Equatable, Sendable {
    public var tables: [SourceTable] = []
    public var views: [SourceObject] = []
    public var triggers: [SourceObject] = []
    /// Virtual tables that have no rows of their own, or none that can be read.
    public var virtualTables: [SourceObject] = []
    public var shadows: [SourceShadow] = []

    public init() {}
}
