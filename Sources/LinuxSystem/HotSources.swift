// Sources whose news is in memory that somebody else writes: a loop looks at it by a load, where a descriptor would cost a
// system call.

internal import CLinux

/// The sources that a loop looks at before it sleeps: those that have just had news.
///
/// - Thread: its loop's.
struct HotSources {
    /// Not retained: a source leaves when it is deregistered.
    private var sources: [Unmanaged<EventSource>] = []

    /// How often all of them are looked at between two polls of the descriptors.
    private static let lookCount = 32

    var isEmpty: Bool { sources.isEmpty }
    var count: Int { sources.count }

    subscript(index: Int) -> Unmanaged<EventSource> { sources[index] }

    mutating func add(_ source: EventSource) { sources.append(.passUnretained(source)) }

    mutating func remove(_ source: EventSource) {
        guard let index = sources.firstIndex(where: { $0._withUnsafeGuaranteedRef { $0 === source } }) else { return }
        remove(at: index)
    }

    private mutating func remove(at index: Int) {
        sources[index]._withUnsafeGuaranteedRef { $0.isHot = false }
        sources.swapAt(index, sources.count - 1)
        sources.removeLast()
    }

    /// Whether one of them has news.
    var haveNews: Bool {
        var index = 0
        while index < sources.count {
            if sources[index]._withUnsafeGuaranteedRef({ $0.hasNews }) { return true }
            index &+= 1
        }
        return false
    }

    /// Looks at them for about two microseconds.
    func lookForNews() -> Bool {
        if sources.isEmpty { return false }
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
        while index < sources.count {
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
