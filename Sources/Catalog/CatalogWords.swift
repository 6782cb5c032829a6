// Words of the protocol that rows of a catalog have instead of free text.

/// A set of words with names in the protocol, each in one byte.
protocol CatalogWord: RawRepresentable, CaseIterable, Sendable where RawValue == UInt8 {
    var name: StaticString { get }
}

extension CatalogWord {
    /// The word with that name; `nil` if there is none.
    init?(_ name: UnsafeRawBufferPointer) {
        guard let word = Self.allCases.first(where: { $0.isNamed(name) }) else { return nil }
        self = word
    }

    private func isNamed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let own = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return own.elementsEqual(bytes)
    }
}

/// What a relation, a key, a routine or a type is.
public enum CatalogKind: UInt8, CatalogWord {
    // Relations.
    case table, view, materializedView, partitionedTable, foreignTable, virtualTable, sequence, keyPrefix
    // Keys.
    case primary, unique
    // Routines.
    case function, procedure, aggregate, window
    // Types.
    case `enum`, domain, composite, range, multirange, base

    /// Its name in the protocol.
    public var name: StaticString {
        switch self {
        case .table: "table"
        case .view: "view"
        case .materializedView: "materialized_view"
        case .partitionedTable: "partitioned_table"
        case .foreignTable: "foreign_table"
        case .virtualTable: "virtual_table"
        case .sequence: "sequence"
        case .keyPrefix: "key_prefix"
        case .primary: "primary"
        case .unique: "unique"
        case .function: "function"
        case .procedure: "procedure"
        case .aggregate: "aggregate"
        case .window: "window"
        case .enum: "enum"
        case .domain: "domain"
        case .composite: "composite"
        case .range: "range"
        case .multirange: "multirange"
        case .base: "base"
        }
    }
}

/// Kinds that are wanted.
public struct CatalogKinds: Sendable, Equatable {
    private var bits: UInt32

    public static let all = CatalogKinds(bits: .max)
    public static let none = CatalogKinds(bits: 0)

    private init(bits: UInt32) { self.bits = bits }

    public func contains(_ kind: CatalogKind) -> Bool { bits & (1 << UInt32(kind.rawValue)) != 0 }

    /// Adds the kind with that name.
    /// - Returns: false if there is none.
    public mutating func insert(named name: UnsafeRawBufferPointer) -> Bool {
        guard let kind = CatalogKind(name) else { return false }
        bits |= 1 << UInt32(kind.rawValue)
        return true
    }
}

/// How the values of a column are computed.
public enum GeneratedColumn: UInt8, CatalogWord {
    case no, stored, virtual

    public var name: StaticString {
        switch self {
        case .no: "no"
        case .stored: "stored"
        case .virtual: "virtual"
        }
    }
}

/// Where the values of a column come from that a row was inserted without.
public enum IdentityColumn: UInt8, CatalogWord {
    case no, always, byDefault, autoIncrement, rowID

    public var name: StaticString {
        switch self {
        case .no: "no"
        case .always: "always"
        case .byDefault: "by_default"
        case .autoIncrement: "auto_increment"
        case .rowID: "rowid"
        }
    }
}
