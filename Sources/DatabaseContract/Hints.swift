// Hints that several places give. They reach programs and people: what both do has no name of a field or an option in it. What a
// program does by a request of its protocol is a `Remedy`, which the server words: no driver knows what requests are called.

/// Sentences for `hint` of an error.
public enum Hint {
    /// The number of values is not that of the statement's placeholders.
    package static let parameters = "Give one value for each placeholder of the statement."
    /// An engine without named parameters.
    package static func unnamedParameters(_ placeholders: String) -> String {
        "Write \(placeholders) in the statement, and give the values in their order, without names."
    }
}

/// What whoever has sent a statement can do about its error.
public enum Remedy: Sendable, Equatable {
    /// Run it in a session.
    case openSession
    /// The same, or send all of these as one batch.
    case openSessionOrBatch(of: String)
    /// Close the session, and open another one.
    case openAnotherSession
    /// Open another session, in which the transaction is repeated from its start.
    case repeatTransaction
    /// Ask for more time.
    case raiseTimeLimit
    /// Send one statement, and nothing else.
    case sendOneStatement
    /// Look which databases there are.
    case listDatabases
    /// Subscribe to the channels.
    case subscribeToChannels
}
