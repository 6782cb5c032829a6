// What is in a database, as `catalog` tells it.

internal import WireProtocol

/// What to ask a catalog for, besides its level.
public struct CatalogOptions: Sendable {
    /// The database, by name; `nil` for the default one. A session has its own.
    public var database: String?
    /// Exact names, to narrow.
    public var namespace: String?
    public var relation: String?
    /// Only names that fit this text, the best first.
    public var match: String?
    /// Only these kinds, such as "table"; empty for all.
    public var kinds: [String] = []
    /// Also the texts that make objects.
    public var definitions = false
    /// Have the daemon read it again.
    public var refresh = false
    /// What an earlier result carried: if it still holds, there are no rows.
    public var etag: String?
    public var maxRows: Int64?
    public var timeout: Duration?

    public init(database: String? = nil) { self.database = database }
}

/// Rows of one level.
///
/// Lists, such as the columns of a key, and the map `extra` are the text of their JSON.
/// - Source: protocol.md, "Catalog"
public struct CatalogResult: Sendable {
    public let columns: Columns
    public let rows: [Row]
    /// A mark of the whole catalog, for `CatalogOptions.etag`.
    public let etag: String
    /// What the caller has still holds.
    public let isUnchanged: Bool
    public let isTruncated: Bool
}

extension CatalogResult {
    init(_ reply: FinishedReply, _ rows: [Row]) {
        let fields = CatalogReply(reply.data)
        columns = reply.columns
        self.rows = rows
        etag = fields.etag
        isUnchanged = fields.isUnchanged ?? false
        isTruncated = fields.isTruncated ?? false
    }
}

extension CatalogOptions {
    var wireOptions: CatalogRequest.Options {
        var options = CatalogRequest.Options()
        options.namespace = namespace
        options.relation = relation
        options.match = match
        options.kinds = kinds
        options.definitions = definitions
        options.refresh = refresh
        options.etag = etag
        options.maxRows = maxRows
        options.timeoutMilliseconds = timeout.map { max(1, $0.milliseconds) }
        return options
    }
}
