// PostgreSQL as an engine.

public import DatabaseContract

extension Engine {
    /// PostgreSQL. PostgreSQL counts values in 16 bits (Bind).
    public static let postgresql = Engine(
        name: "postgresql", schemes: ["postgresql", "postgres"], urlExample: "postgresql://", placement: .server,
        parameterCountMax: 65_535,
        // The text and the values with zeros behind them, libpq's message of both, which grows by doubling, and its copy of the text.
        copies: RequestCopies(perByte: 3, perParameter: 64), pingText: "SELECT 1",
        catalog: PostgreSQLCatalog(), loading: PostgreSQLLoading(),
        parse: { url throws(DriverError) in try PostgreSQLLocation(url: url) })
}
