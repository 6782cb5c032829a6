// The levels of a catalog and their columns: one table, for replies, documents and tests.

/// What one request asks for: rows of one shape.
///
/// - Source: docs/protocol.md, Catalog.
public enum CatalogLevel: UInt8, CaseIterable, Sendable {
    case namespaces, relations, columns, keys, foreignKeys, indexes, triggers, routines, types

    /// Its name in the protocol.
    public var name: String {
        switch self {
        case .namespaces: "namespaces"
        case .relations: "relations"
        case .columns: "columns"
        case .keys: "keys"
        case .foreignKeys: "foreign_keys"
        case .indexes: "indexes"
        case .triggers: "triggers"
        case .routines: "routines"
        case .types: "types"
        }
    }

    public init?(name: String) {
        guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }

    /// The columns of its rows, in order. `definition` is there only where definitions are wanted.
    public var columns: [CatalogField] {
        switch self {
        case .namespaces: [.name, .isDefault, .owner, .comment, .extra]
        case .relations: [.namespace, .name, .kind, .comment, .rowEstimate, .sizeBytes, .definition, .extra]
        case .columns:
            [
                .namespace, .relation, .name, .position, .type, .nullable, .defaultValue, .generated, .identity,
                .hidden,
                .collation, .keyPosition, .comment, .extra,
            ]
        case .keys: [.namespace, .relation, .name, .kind, .columns, .extra]
        case .foreignKeys:
            [
                .namespace, .relation, .name, .columns, .targetNamespace, .targetRelation, .targetColumns, .onUpdate,
                .onDelete, .extra,
            ]
        case .indexes:
            [.namespace, .relation, .name, .unique, .columns, .method, .predicate, .definition, .extra]
        case .triggers: [.namespace, .relation, .name, .timing, .events, .definition, .extra]
        case .routines: [.namespace, .name, .kind, .arguments, .returns, .language, .comment, .definition, .extra]
        case .types: [.namespace, .name, .kind, .labels, .base, .comment, .definition, .extra]
        }
    }

    /// Whether its rows belong to a relation.
    public var isOfRelation: Bool {
        switch self {
        case .columns, .keys, .foreignKeys, .indexes, .triggers: true
        case .namespaces, .relations, .routines, .types: false
        }
    }
}

/// A column of a level, or of what an engine tells of it.
public enum CatalogField: UInt8, CaseIterable, Sendable {
    case namespace, relation, name, kind, comment, definition, extra, owner, position, type, nullable, generated,
        identity
    case hidden, collation, columns, unique, method, predicate, timing, events, arguments, returns, language, labels,
        base
    /// Whether names without a namespace are looked up there.
    case isDefault
    case defaultValue, rowEstimate, sizeBytes, keyPosition
    case targetNamespace, targetRelation, targetColumns, onUpdate, onDelete
    // What engines tell in several rows, of which one list is made.
    case ordinal, column, expression, targetColumn, event, label

    /// What its values are; each of them may also be null.
    public enum Shape: Sendable { case text, integer, bool, list, map }

    public var shape: Shape {
        switch self {
        case .position, .rowEstimate, .sizeBytes, .keyPosition, .ordinal: .integer
        case .isDefault, .nullable, .hidden, .unique: .bool
        case .columns, .targetColumns, .events, .labels: .list
        case .extra: .map
        default: .text
        }
    }

    /// Its name in the protocol, and in results of an engine's statements.
    public var name: String {
        switch self {
        case .isDefault, .defaultValue: "default"
        case .rowEstimate: "row_estimate"
        case .sizeBytes: "size_bytes"
        case .keyPosition: "key_position"
        case .targetNamespace: "target_namespace"
        case .targetRelation: "target_relation"
        case .targetColumns: "target_columns"
        case .targetColumn: "target_column"
        case .onUpdate: "on_update"
        case .onDelete: "on_delete"
        default: "\(self)"
        }
    }

    /// The column of that name in what an engine tells of a level; `nil` if it has no place there.
    init?(told name: UnsafeRawBufferPointer, of level: CatalogLevel) {
        guard let field = Self.allCases.first(where: { $0.isTold(of: level) && $0.name.utf8.elementsEqual(name) })
        else {
            return nil
        }
        self = field
    }

    private func isTold(of level: CatalogLevel) -> Bool {
        switch self {
        case .ordinal, .column, .expression, .targetColumn, .event, .label: true
        default: level.columns.contains(self)
        }
    }
}
