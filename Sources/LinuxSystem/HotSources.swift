// Sources whose news is in memory that somebody else writes: a loop looks at it by a load, where a descriptor would cost a
// system call.

internal import CLinux

/// The sources that a loop looks at before it sleeps: those that have just had news.
///
/// In storage of its own: looking at them counts no references.
///
/// - Thread: its loop's.
struct HotSources: ~Copyable {
    /// Not retained: a source leaves when it is deregistered.
    private var sources: UnsafeMutablePointer<Unmanaged<EventSource>>
    private var capacity = 16
    private(set) var count = 0

    /// How often all of them are looked at between two polls of the descriptors.
    private static let lookCount = 64

    init() { sources = .allocate(capacity: capacity) }

    deinit { sources.deallocate() }

    subscript(index: Int) -> Unmanaged<EventSource> {
        precondition(index < count)
        return sources[index]
    }

    mutating func add(_ source: EventSource) {
        if count == capacity { grow() }
        (sources + count).initialize(to: .passUnretained(source))
        count += 1
        source.isHot = true
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Unmanaged<EventSource>>.allocate(capacity: 2 * capacity)
        larger.moveInitialize(from: sources, count: count)
        sources.deallocate()
        sources = larger
        capacity *= 2
    }

    mutating func remove(_ source: EventSource) {
        let index = (0..<count).first { sources[$0]._withUnsafeGuaranteedRef { $0 === source } }
        if let index { remove(at: index) }
    }

    private mutating func remove(at index: Int) {
        sources[index]._withUnsafeGuaranteedRef { $0.isHot = false }
        count -= 1
        sources[index] = sources[count]
    }

    /// Whether one of them has news.
    var haveNews: Bool {
        var index = 0
        while index < count {
            if sources[index]._withUnsafeGuaranteedRef({ $0.hasNews }) { return true }
            index &+= 1
        }
        return false
    }

    /// Looks at them for about two microseconds.
    func lookForNews() -> Bool {
        for _ in 0..<Self.lookCount {
            if haveNews { return true }
            clinux_relax()
        }
        return false
    }

    /// Puts those to sleep that have had no news since then.
    /// - Returns: false if one of them has news now.
    mutating func sleep(quietSince instant: MonotonicInstant) -> Bool {
        var index = 0
        while index < count {
            let isQuiet = sources[index]._withUnsafeGuaranteedRef { $0.lastNews <= instant }
            if isQuiet {
                guard sources[index]._withUnsafeGuaranteedRef({ $0.fallAsleep() }) else { return false }
                remove(at: index)
            } else {
                index += 1
            }
        }
        return true
    }
}
