// Every bound of the protocol that is not configurable, and the default of the one that is.
//
// The server's own limits (sessions, requests in flight, bytes for each user) live with the server.

/// The protocol's fixed bounds.
public enum WireLimits {
    /// The version of the protocol that this module speaks.
    public static let protocolVersion: Int64 = 1
    /// A frame's largest body in bytes, unless the configuration says otherwise.
    public static let frameByteCountMaxDefault = 16 << 20
    /// What no configuration may exceed, in bytes: the first byte of a length stays at most 4, so that it can never be
    /// mistaken for the first byte of a JSON line.
    public static let frameByteCountCeiling = 64 << 20
    /// How deep arrays and maps may nest; the message's own map is the first level.
    public static let nestingDepthMax = 64
    /// The longest request id in bytes.
    public static let requestIDByteCountMax = 128
    /// How much of the client's name (`hello`) is kept, in bytes.
    public static let clientNameByteCountMax = 63
    /// How many keys all the maps that are open at one place may have together.
    ///
    /// Keys are remembered to find duplicates; this bounds that memory to 512 KiB whatever a frame holds. The largest
    /// map with a meaning is one of named parameters, of which SQLite takes 32,766.
    public static let openMapKeyCountMax = 65_536
    /// How many values one execution of a statement may be given: the most that any engine takes (PostgreSQL and MySQL count
    /// them in 16 bits). `Engine.parameterCountMax` has the engines' own limits.
    public static let parameterCountMax = 65_535
    /// How many statements a batch may have; each has a summary in the reply.
    public static let batchStatementCountMax = 65_536
    /// Integers of a greater magnitude are not exact as a JSON number in most languages (2^53 − 1).
    public static let exactJSONIntegerMax: Int64 = 9_007_199_254_740_991
    /// How deep the containers of a message that this module writes may nest, envelope included.
    public static let writerDepthMax = 12
}
