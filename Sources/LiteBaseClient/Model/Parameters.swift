// The values of a statement's placeholders.

/// The parameters of one statement: by position (`?`, `?1`) or by name (`:name`, `@name`, `$name`).
///
/// An array literal makes positional ones, a dictionary literal named ones:
/// `["Oslo", 7]` or `["city": "Oslo", "limit": 7]`.
public enum Parameters: Hashable, Sendable {
    case positional([Value])
    case named([String: Value])

    public static let none = Parameters.positional([])

    public var isEmpty: Bool {
        switch self {
        case .positional(let values): values.isEmpty
        case .named(let values): values.isEmpty
        }
    }
}

extension Parameters: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    public init(arrayLiteral elements: Value...) {
        self = .positional(elements)
    }

    /// - Parameter elements: of a name that is given twice, the last value counts.
    public init(dictionaryLiteral elements: (String, Value)...) {
        self = .named(Dictionary(elements) { _, last in last })
    }
}
