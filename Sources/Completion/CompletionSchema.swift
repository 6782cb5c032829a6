// What a completion has to know of a database. Whoever has an index of one conforms it; nothing here reads a database.

import SQLText

/// The dialect of a text.
public enum CompletionDialect: String, CaseIterable, Sendable {
    case sqlite, postgresql, mysql, redis

    /// - Parameter engine: the name of an engine; MariaDB's is that of MySQL.
    public init?(engine: String) { self.init(rawValue: engine) }

    /// How the text is cut into statements.
    var language: StatementSplitter.Language { StatementSplitter.Language(engine: rawValue) }
}

/// The names of one database, as a completion asks for them.
///
/// Every answer comes from memory, and is bounded: `limit` says how many are wanted at most, the best first
/// (`NamePattern`: prefix before acronym before subsequence). Names of SQLite and MySQL are found whatever their case; those
/// of PostgreSQL are given as the server has them, in small letters if they were not quoted.
/// - Thread: that of the completion
public protocol CompletionSchema {
    /// Whether all names are known; otherwise the list that comes of it is marked as incomplete.
    var isComplete: Bool { get }

    func namespaces(matching pattern: NamePattern, limit: Int) -> [String]
    func hasNamespace(_ name: String) -> Bool

    /// Relations in `namespace`, or in all of them.
    func relations(matching pattern: NamePattern, in namespace: String?, limit: Int) -> [CompletionRelation]

    /// The relation with exactly that name, in `namespace` or where an unqualified name is looked for.
    func relation(named name: String, in namespace: String?) -> CompletionRelation?

    /// In their order.
    func columns(of relation: CompletionRelation) -> [CompletionColumn]

    /// Foreign keys of `relation`, and those of others that refer to it.
    func foreignKeys(of relation: CompletionRelation) -> [CompletionForeignKey]

    func routines(matching pattern: NamePattern, in namespace: String?, limit: Int) -> [CompletionRoutine]
    func types(matching pattern: NamePattern, limit: Int) -> [String]

    /// Names of indexes, triggers, sequences and what else has a name of its own but is no relation, for DROP and ALTER.
    func objects(_ kind: CompletionObject, matching pattern: NamePattern, limit: Int) -> [String]
}

extension CompletionSchema {
    public func objects(_ kind: CompletionObject, matching pattern: NamePattern, limit: Int) -> [String] { [] }
}

/// What is neither a relation nor a routine, and has a name.
public enum CompletionObject: Sendable { case index, trigger }

/// A table, a view, or what else rows come from; of Redis: a prefix of keys.
public struct CompletionRelation: Hashable, Sendable {
    public var namespace: String
    public var name: String
    /// As the catalog says: `table`, `view`, …
    public var kind: String
    /// Whether the name alone finds it: its namespace is the default one, or in the search path before others that have it.
    public var isVisible: Bool
    /// For the schema's own use.
    public var number: Int

    public init(namespace: String, name: String, kind: String = "table", isVisible: Bool = true, number: Int = 0) {
        (self.namespace, self.name, self.kind, self.isVisible, self.number) = (namespace, name, kind, isVisible, number)
    }
}

public struct CompletionColumn: Equatable, Sendable {
    public var name: String
    public var type: String
    /// Left out of `*`, and proposed last.
    public var isHidden: Bool
    /// Computed by the database: it takes no value.
    public var isGenerated: Bool

    public init(_ name: String, type: String = "", isHidden: Bool = false, isGenerated: Bool = false) {
        (self.name, self.type, self.isHidden, self.isGenerated) = (name, type, isHidden, isGenerated)
    }
}

/// Columns that refer to others, pair by pair.
public struct CompletionForeignKey: Equatable, Sendable {
    public var source: CompletionRelation
    public var sourceColumns: [String]
    public var target: CompletionRelation
    public var targetColumns: [String]

    public init(
        from source: CompletionRelation, _ sourceColumns: [String], to target: CompletionRelation,
        _ targetColumns: [String]
    ) {
        (self.source, self.sourceColumns, self.target, self.targetColumns) = (
            source, sourceColumns, target, targetColumns
        )
    }
}

public struct CompletionRoutine: Equatable, Sendable {
    public var namespace: String
    public var name: String
    /// Arguments and result, as a person reads them.
    public var signature: String
    /// Called by CALL and not in an expression.
    public var isProcedure: Bool
    public var isVisible: Bool

    public init(
        namespace: String = "", name: String, signature: String = "", isProcedure: Bool = false, isVisible: Bool = true
    ) {
        (self.namespace, self.name, self.signature) = (namespace, name, signature)
        (self.isProcedure, self.isVisible) = (isProcedure, isVisible)
    }
}
