// What a completion answers.

/// One proposal.
public struct CompletionItem: Equatable, Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        case keyword, namespace, relation, column, alias
        case commonTableExpression = "common_table_expression"
        case routine, join
        case joinCondition = "join_condition"
        case starExpansion = "star_expansion"
        case type, value, command
    }

    /// What is to be inserted, in quotes where it needs them.
    public var text: String
    /// What is shown.
    public var label: String
    public var kind: Kind
    /// A type, a signature, an owner; may be empty.
    public var detail: String
    /// The relation that it belongs to; may be empty.
    public var relation: String

    public init(_ text: String, label: String? = nil, kind: Kind, detail: String = "", relation: String = "") {
        (self.text, self.label, self.kind) = (text, label ?? text, kind)
        (self.detail, self.relation) = (detail, relation)
    }
}

/// The proposals for one place of a text, the best first.
public struct CompletionList: Equatable, Sendable {
    /// The bytes of the text that an item's text replaces.
    public var replace: Range<Int>
    public var items: [CompletionItem]
    /// Not all names of the database are known yet; asking again may tell more.
    public var isIncomplete: Bool

    public init(replace: Range<Int>, items: [CompletionItem] = [], isIncomplete: Bool = false) {
        (self.replace, self.items, self.isIncomplete) = (replace, items, isIncomplete)
    }
}
