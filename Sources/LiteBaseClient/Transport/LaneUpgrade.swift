// When a client asks for shared memory.

internal import LinuxSystem

/// Decides when shared memory is asked for: at once, or when requests follow each other so closely that it pays.
///
/// A program that sends a few requests would pay more for the memory than it saves; one that sends a request a second would hold
/// memory for nothing.
struct LaneUpgrade {
    private let transport: Transport
    private var requestCount = 0
    private var began = MonotonicInstant(nanoseconds: 0)
    /// After a refusal there is a pause: what was used up may be free again.
    private var pauseRequestCount = 0

    /// As many requests within this time make it worthwhile.
    static let requestCount = 64
    static let nanosecondsMax: Int64 = 250_000_000
    static let refusedRequestCount = 10_000

    init(_ transport: Transport) { self.transport = transport }

    /// Counts a request, before which the client may ask.
    var isDue: Bool {
        mutating get {
            switch transport {
            case .socket: return false
            case .sharedMemory, .automatic: break
            }
            if pauseRequestCount > 0 {
                pauseRequestCount -= 1
                return false
            }
            if transport == .sharedMemory { return true }
            if requestCount == 0 { began = .now }
            requestCount += 1
            guard requestCount >= Self.requestCount else { return false }
            requestCount = 0
            return MonotonicInstant.now.nanoseconds(since: began) < Self.nanosecondsMax
        }
    }

    mutating func wasRefused() { pauseRequestCount = Self.refusedRequestCount }
}
