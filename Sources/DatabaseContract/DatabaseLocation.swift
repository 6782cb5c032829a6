// Where a database is, whatever its engine.

/// A parsed URL of one engine.
///
/// It may hold a password; `label` does not.
/// - Source: docs/protocol.md, URLs.
public protocol DatabaseLocation: Sendable, Equatable {
    /// Where it is, without secrets: a path, or servers and a database.
    var label: String { get }
    /// The file that holds it; `nil` if it is not a file of this machine.
    var filePath: String? { get }
    /// The present file, found as the engine would follow its path; `nil` if there is none.
    /// - Thread: one that may block.
    var file: DatabaseFile? { get }
    /// Whether each database opened there is a new one.
    var isMemory: Bool { get }
    /// Whether the URL asks for reading only.
    var isReadOnly: Bool { get }
    /// Checks for parts of the URL that clients may not use.
    /// - Throws: `DriverError` with code `badRequest`.
    func checkClientURL() throws(DriverError)
    /// Makes the database object; opens nothing yet.
    func makeDatabase(_ plan: DatabasePlan) -> any Database
}

extension DatabaseLocation {
    /// Whether both are the same place according to their URLs.
    public func isSame(as other: any DatabaseLocation) -> Bool { other as? Self == self }
}
