// How an engine tells what is in its databases: by a fixed number of statements, whatever the number of tables.

public import Catalog

/// A statement of which the rows are those of a level.
public struct CatalogStatement: Sendable {
    /// `nil` for one that only prepares others.
    public var level: CatalogLevel?
    public var text: String
    /// It tells columns of those relations only whose own rows did not tell them: without such relations it is left out.
    public var isForUntoldColumns = false

    public init(_ level: CatalogLevel?, _ text: String) {
        self.level = level
        self.text = text
    }
}

/// What a catalog is wanted for.
public struct CatalogWish: Sendable {
    /// The names of the namespaces, as the statement for them has told.
    public var namespaces: [String]
    /// Also the texts that make objects.
    public var definitions: Bool
    public var serverVersion: String
    /// Where the database is; `nil` for a session on one without a name.
    public var location: (any DatabaseLocation)?

    public init(
        namespaces: [String] = [], definitions: Bool, serverVersion: String, location: (any DatabaseLocation)? = nil
    ) {
        self.namespaces = namespaces
        self.definitions = definitions
        self.serverVersion = serverVersion
        self.location = location
    }
}

/// The statements of an engine.
///
/// The names of the columns in their results are those of the level (`CatalogField.name`), see `CatalogFeed`.
/// - Thread: any.
public protocol CatalogSource: Sendable {
    /// Whether names differ if their letters differ only in case.
    var isCaseSensitive: Bool { get }
    /// Whether all statements have to run on one connection, which no client uses: then sessions see what everybody sees.
    var needsOwnConnection: Bool { get }
    /// Whether that connection refuses whatever is not known to read only.
    var ownConnectionIsReadOnly: Bool { get }
    /// For how long a catalog that was found to hold is not asked for again, in milliseconds; 0: each request asks.
    var trustMilliseconds: Int64 { get }
    /// The namespaces of a database as everybody sees it; `nil` where they have to be asked for.
    var namespaces: [String]? { get }
    /// The statement that tells a session's namespaces; `nil` where sessions see what everybody sees.
    var namespaceText: String? { get }
    /// Whether the fingerprint of these namespaces tells each change.
    func mayBelieveFingerprint(of namespaces: [String]) -> Bool
    /// Statements whose rows all together change when the catalog does.
    func fingerprints(_ wish: CatalogWish) -> [String]
    /// Instead of these, where their rows have no values.
    func exactFingerprints(_ wish: CatalogWish) -> [String]
    /// The statements, in order: namespaces first, relations before what belongs to them.
    func statements(_ wish: CatalogWish) -> [CatalogStatement]
    /// What has to be found out step by step, after the statements.
    func walk(_ wish: CatalogWish) -> (any CatalogWalk)?
    /// Completes a row by what only its definition says.
    func complete(_ row: CatalogFeed)
    /// Whether a statement may change a catalog: then a catalog is asked for again before it is believed. Called on a loop for each
    /// statement that a server has done: no more than a bounded part of it is looked at.
    func mayChange(_ sql: UnsafeRawBufferPointer) -> Bool
    /// Whether any batch may.
    var batchesMayChange: Bool { get }
}

extension CatalogSource {
    public var needsOwnConnection: Bool { false }
    public var ownConnectionIsReadOnly: Bool { true }
    public var trustMilliseconds: Int64 { 0 }
    public var namespaces: [String]? { nil }
    public var namespaceText: String? { nil }
    public func mayBelieveFingerprint(of namespaces: [String]) -> Bool { true }
    public func exactFingerprints(_ wish: CatalogWish) -> [String] { [] }
    public func walk(_ wish: CatalogWish) -> (any CatalogWalk)? { nil }
    public func complete(_ row: CatalogFeed) {}
    public func mayChange(_ sql: UnsafeRawBufferPointer) -> Bool { false }
    public var batchesMayChange: Bool { true }
}
