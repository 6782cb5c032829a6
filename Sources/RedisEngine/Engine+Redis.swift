// Redis, and what speaks its protocol as an engine.

public import DatabaseContract

extension Engine {
    /// Redis, and what speaks its protocol. Redis takes more values; nothing needs more.
    public static let redis = Engine(
        name: "redis",
        schemes: [
            "redis", "rediss", "redis+unix", "redis+sentinel", "redis+cluster", "valkey", "valkeys", "valkey+unix",
            "valkey+sentinel", "valkey+cluster", "unix",
        ],
        urlExample: "redis://HOST/DATABASE", placement: .server,
        parameterCountMax: 65_535,
        // The command as it is sent, in a buffer that grows by doubling.
        copies: RequestCopies(perByte: 2, perParameter: 16), pingText: "PING", catalog: RedisCatalog(),
        parse: { url throws(DriverError) in try RedisLocation(url: url) })
}
