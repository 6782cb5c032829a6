// The parameters of a run of `litebase bench`, as plain values.

internal import LinuxSystem
import LiteBaseClient

/// When a run ends without a failure or Ctrl-C.
enum LoadExtent: Sendable, Equatable {
    case nanoseconds(Int64)
    /// That many replies, over all connections, after the warm-up.
    case requests(UInt64)
}

/// How the messages of a run get to the daemon.
enum LoadTransport: String, CaseIterable, Sendable {
    case socket
    case sharedMemory = "shared-memory"
}

/// A run: the load, without where it goes.
struct LoadPlan: Sendable {
    var template: RequestTemplate
    var extent: LoadExtent
    var warmUpNanoseconds: Int64
    var connectionCount: Int
    /// Requests that each connection has in flight.
    var pipelineDepth: Int
    var threadCount: Int
    var seed: UInt64
    /// How its messages get there.
    var transport = LoadTransport.socket
    /// Whose daemon it may be.
    var trusted = TrustedUsers.standard

    /// A run without any reply for that long has failed.
    static let silenceNanosecondsMax: Int64 = 30_000_000_000

    /// Connections of one thread.
    func connectionCount(ofThread index: Int) -> Int { Self.share(connectionCount, index, threadCount) }

    /// Replies that one thread counts; `nil` without a limit.
    func requestCount(ofThread index: Int) -> UInt64? {
        guard case .requests(let count) = extent else { return nil }
        return UInt64(Self.share(Int(clamping: count), index, threadCount))
    }

    /// A part of `total` in `parts` that differ by one at most.
    private static func share(_ total: Int, _ index: Int, _ parts: Int) -> Int {
        total / parts + (index < total % parts ? 1 : 0)
    }
}

/// Random numbers, fast and with a known seed (SplitMix64, public domain by S. Vigna).
struct LoadRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `span`; uniform but for 2^-64 of each.
    mutating func upTo(_ span: UInt64) -> UInt64 {
        span == .max ? next() : (span + 1).multipliedFullWidth(by: next()).high
    }
}
