// What is in the databases of a MySQL or MariaDB server: a statement for each level.

internal import Catalog
internal import DatabaseContract
internal import SQLText

/// How MySQL and MariaDB tell their catalog (`MySQLCatalogQueries`).
struct MySQLCatalog: CatalogSource {
    let isCaseSensitive = true
    /// The first statement changes a setting of the connection.
    let needsOwnConnection = true
    let trustMilliseconds: Int64 = 3_000

    func fingerprints(_ wish: CatalogWish) -> [String] { [MySQLCatalogQueries.fingerprint] }

    func statements(_ wish: CatalogWish) -> [CatalogStatement] {
        typealias Queries = MySQLCatalogQueries
        return [
            CatalogStatement(nil, Queries.prepare), CatalogStatement(.namespaces, Queries.namespaces),
            CatalogStatement(.relations, Queries.relations),
        ] + (wish.definitions ? [CatalogStatement(.relations, Queries.relationDefinitions)] : []) + [
            CatalogStatement(.columns, Queries.columns), CatalogStatement(.keys, Queries.keys),
            CatalogStatement(.foreignKeys, Queries.foreignKeys), CatalogStatement(.indexes, Queries.indexes),
            CatalogStatement(.triggers, Queries.triggers), CatalogStatement(.routines, Queries.routines),
        ]
    }

    func mayChange(_ sql: UnsafeRawBufferPointer) -> Bool { ServerCatalogWords.mayChange(sql, .mysql) }
}
