// What is said before anything is written.

/// Something that is not as it was.
public struct Finding: Equatable, Sendable {
    public enum Weight: Int, Sendable {
        /// Values would be lost: the move is refused.
        case loss
        /// It is left out, or works otherwise: that has to be accepted.
        case change
        /// Good to know.
        case note
    }

    /// By which it is accepted.
    public enum Kind: String, CaseIterable, Sendable {
        case check, collation, conflict, `default`, foreignKey = "foreign-key", generated, index, key, trigger, type,
            view
        case virtualTable = "virtual-table"
        case name, value
    }

    public var weight: Weight
    public var kind: Kind
    /// Such as `song.title`.
    public var object: String
    public var cause: String
    public var remedy: String

    public init(_ weight: Weight, _ kind: Kind, _ object: String, _ cause: String, _ remedy: String) {
        self.weight = weight
        self.kind = kind
        self.object = object
        self.cause = cause
        self.remedy = remedy
    }

    /// Kinds that can be accepted.
    public static let acceptable: [Kind] = Kind.allCases.filter { $0 != .name && $0 != .value }
}
