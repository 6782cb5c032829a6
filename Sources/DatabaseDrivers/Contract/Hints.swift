// Hints that several places give. They reach programs and people: what both do has no name of a field or an option in it.

/// Sentences for `hint` of an error.
public enum Hint {
    /// Where the names of databases are found.
    public static let databases = "list_databases ('litebase databases') names those that you may open."
    /// The number of values is not that of the statement's placeholders.
    static let parameters = "Give one value for each placeholder of the statement."
    /// An engine without named parameters.
    static func unnamedParameters(_ placeholders: String) -> String {
        "Write \(placeholders) in the statement, and give the values in their order, without names."
    }
}
