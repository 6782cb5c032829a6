// How much libpq gathers before there is a message that it can hand out.
//
// It takes a message as a whole, of up to 2 GB, before anybody sees a part of it, and its buffer never becomes smaller again.

internal import CPostgreSQL
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// Reads from the server, and counts the bytes since the last message.
struct PostgreSQLInput {
    /// What came of reading.
    enum Outcome {
        case read, failed
        /// The message is longer than any may be.
        case tooMuch
    }

    private let byteCountMax: Int
    private(set) var byteCount = 0
    /// Those that had come to nothing when more was read: a message has come in part that is at least as long.
    private var unfinishedByteCount = 0
    /// The thread's time when this look began, once there was much that came to nothing.
    private var lookBegan: Int64?

    /// Read at a time, so that others have their turn.
    private static let lookByteCountMax = 512 << 10
    /// Behind so many bytes the time is looked at.
    private static let unwatchedByteCountMax = 64 << 10
    private static let lookNanosecondsMax: Int64 = 100_000_000
    /// For what is no row, as errors and notices.
    private static let otherByteCountMax = 1 << 20

    /// - Parameter rowByteCountMax: of a reply; a blob as text is twice as long.
    init(rowByteCountMax: Int = 0) {
        byteCountMax = min(rowByteCountMax, 1 << 40) * 2 + Self.otherByteCountMax
    }

    /// A message was handed out.
    mutating func noteMessage() {
        byteCount = 0
        unfinishedByteCount = 0
        lookBegan = nil
    }

    /// Whether the message that comes is a long one.
    var isLong: Bool { unfinishedByteCount >= ServerConnection.heavyByteCountMin }

    /// Whether libpq has worked for long on what was read last, and nothing came of it. To be asked in the look that has read
    /// it: between two, the thread works for others.
    ///
    /// libpq keeps all of the server's parameters in a list that it goes through for each that comes (pqSaveParameterStatus in
    /// fe-exec.c), and tells nobody.
    var isFruitless: Bool {
        guard let lookBegan else { return false }
        return ThreadClock.nanoseconds - lookBegan > Self.lookNanosecondsMax
    }

    /// Another thread looks at what was read.
    mutating func beginLook() {
        if byteCount > Self.unwatchedByteCountMax { lookBegan = ThreadClock.nanoseconds }
    }

    mutating func read(_ handle: OpaquePointer) -> Outcome {
        var count = 0
        guard cpostgresql_consume_input(handle, Self.lookByteCountMax, &count) == 1 else { return .failed }
        unfinishedByteCount = byteCount
        byteCount += count
        beginLook()
        return byteCount <= byteCountMax ? .read : .tooMuch
    }
}
