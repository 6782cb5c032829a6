// What is in a PostgreSQL database: the statements for each level, in one transaction.

internal import Catalog
internal import DatabaseContract
internal import SQLText

/// How PostgreSQL tells its catalog (`PostgreSQLCatalogQueries`).
struct PostgreSQLCatalog: CatalogSource {
    let isCaseSensitive = true
    /// The first statements change settings until the end of their transaction.
    let needsOwnConnection = true
    /// The server's counters follow within seconds anyway.
    let trustMilliseconds: Int64 = 3_000

    func fingerprints(_ wish: CatalogWish) -> [String] { [PostgreSQLCatalogQueries.fingerprint] }

    /// Where the server counts nothing.
    func exactFingerprints(_ wish: CatalogWish) -> [String] { [PostgreSQLCatalogQueries.exactFingerprint] }

    func statements(_ wish: CatalogWish) -> [CatalogStatement] {
        typealias Queries = PostgreSQLCatalogQueries
        let isOld = wish.serverVersion.hasPrefix("9.")
        return [
            CatalogStatement(nil, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            CatalogStatement(.namespaces, Queries.namespaces),
            CatalogStatement(nil, Queries.prepare),
        ] + (wish.definitions ? [CatalogStatement(nil, Queries.wantDefinitions)] : []) + [
            CatalogStatement(.relations, isOld ? Queries.relationsBefore10 : Queries.relations),
            CatalogStatement(.columns, Queries.columns), CatalogStatement(.keys, Queries.keys),
            CatalogStatement(.foreignKeys, Queries.foreignKeys), CatalogStatement(.indexes, Queries.indexes),
            CatalogStatement(.triggers, Queries.triggers), CatalogStatement(.routines, Queries.routines),
            CatalogStatement(.types, Queries.types), CatalogStatement(nil, "COMMIT"),
        ]
    }

    func mayChange(_ sql: UnsafeRawBufferPointer) -> Bool { ServerCatalogWords.mayChange(sql, .postgresql) }
}
