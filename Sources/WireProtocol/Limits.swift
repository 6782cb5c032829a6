// Every limit of the protocol that cannot be configured.
//
// The server has its own limits (sessions, requests in flight, bytes for each user).

/// The protocol's fixed bounds.
public enum WireLimits {
    /// The version of the protocol that this module speaks.
    public static let protocolVersion: Int64 = 1
    /// The highest configurable size of a frame's body, in bytes: the first byte of a length is at most 4, so it cannot be mistaken for
    /// the first byte of a JSON line.
    public static let frameByteCountCeiling = 64 << 20
    /// How deep arrays and maps may nest; the message's own map is the first level.
    public static let nestingDepthMax = 64
    /// The longest request id in bytes.
    public static let requestIDByteCountMax = 128
    /// How much of the client's name (`hello`) is kept, in bytes.
    public static let clientNameByteCountMax = 63
    /// The most keys of all open maps together.
    ///
    /// Keys are kept to find duplicates; this limits that memory to 512 KiB for any frame. The largest meaningful map
    /// is one of named parameters, of which SQLite takes 32,766.
    public static let openMapKeyCountMax = 65_536
    /// The most values of one execution of a statement: the highest limit of any engine (PostgreSQL and MySQL count
    /// them in 16 bits). `Engine.parameterCountMax` has the engines' own limits.
    public static let parameterCountMax = 65_535
    /// The most statements of a batch; each has a summary in the reply.
    public static let batchStatementCountMax = 65_536
    /// Integers of a greater magnitude are not exact as a JSON number in most languages (2^53 − 1).
    public static let exactJSONIntegerMax: Int64 = 9_007_199_254_740_991
    /// How deep the containers of a message that this module writes may nest, envelope included.
    public static let writerDepthMax = 12
}
