// Who wants to hear of which channels, and which of them the server sends. It knows no locks, threads or sockets, so tests can
// try events in any order.

internal import DatabaseContract
internal import LinuxSystem

/// The channels of one database that somebody listens to.
///
/// A name that nobody wants any more is kept for a while: a client that has lost its connection goes on where it was.
/// - Thread: that of its owner.
struct ChannelBook {
    private struct Entry {
        /// Subscriptions that want it.
        var useCount = 0
        var isHeard = false
        /// Since when the feed has everything of it, and what is missing as a gap.
        var completeSince: UInt64?
        /// Since when nobody wants it.
        var unused: MonotonicInstant?
    }

    /// What is to be said to the server.
    struct Change: Equatable {
        var beginning: [ChannelName] = []
        var ending: [ChannelName] = []

        var isEmpty: Bool { beginning.isEmpty && ending.isEmpty }
    }

    private var entries: [ChannelName: Entry] = [:]
    /// Names that are not heard, or not wanted: only these need to be looked at.
    private var open: Set<ChannelName> = []
    private var counts: [UInt32: Int] = [:]
    /// Names that are kept although nobody wants them.
    private var unusedCount = 0

    static let countPerUserMax = 2_000
    /// More names than that are not kept for those who come back.
    static let unusedCountMax = 1_000
    /// For a client that comes back, in milliseconds.
    static let lingerMilliseconds: Int64 = 10_000

    var isEmpty: Bool { entries.isEmpty }
    /// Somebody wants something.
    var isUsed: Bool { !counts.isEmpty }
    /// Somebody has been told that all is told.
    var isPromised: Bool { entries.values.contains { $0.useCount > 0 && $0.completeSince != nil } }

    /// - Returns: false if that is too much for one user, who gets nothing of it.
    mutating func add(_ names: [ChannelName], for uid: UInt32) -> Bool {
        let count = counts[uid, default: 0] + names.count
        guard count <= Self.countPerUserMax else { return false }
        counts[uid] = count
        for name in names {
            var entry = entries[name] ?? Entry()
            entry.useCount += 1
            if entry.unused.take() != nil { unusedCount -= 1 }
            entries[name] = entry
            if entry.isHeard { open.remove(name) } else { open.insert(name) }
        }
        return true
    }

    mutating func remove(_ names: [ChannelName], for uid: UInt32, at now: MonotonicInstant) {
        let count = counts[uid, default: 0] - names.count
        counts[uid] = count > 0 ? count : nil
        for name in names {
            guard var entry = entries[name] else { continue }
            entry.useCount -= 1
            if entry.useCount == 0, !entry.isHeard {
                forget(name)
                continue
            }
            if entry.useCount == 0 {
                let isKept = unusedCount < Self.unusedCountMax
                entry.unused = isKept ? now : now.advanced(byMilliseconds: -Self.lingerMilliseconds)
                unusedCount += 1
                open.insert(name)
            }
            entries[name] = entry
        }
    }

    private mutating func forget(_ name: ChannelName) {
        if entries.removeValue(forKey: name)?.unused != nil { unusedCount -= 1 }
        open.remove(name)
    }

    /// What is to be changed now. Names that are to end are forgotten.
    mutating func takeChange(at now: MonotonicInstant) -> Change {
        var change = Change()
        for name in open {
            guard let entry = entries[name] else { continue }
            if entry.useCount > 0 {
                change.beginning.append(name)
            } else if let unused = entry.unused, Self.isOver(unused, at: now) {
                change.ending.append(name)
                forget(name)
            }
        }
        return change
    }

    /// When the next name has been unwanted for long enough.
    var nextEnd: MonotonicInstant? {
        open.compactMap { entries[$0]?.unused }.min()?.advanced(byMilliseconds: Self.lingerMilliseconds)
    }

    private static func isOver(_ unused: MonotonicInstant, at now: MonotonicInstant) -> Bool {
        unused.advanced(byMilliseconds: lingerMilliseconds) <= now
    }

    /// The server sends what is sent to those; `number` is that of the last event in the feed.
    mutating func didBegin(_ names: some Sequence<ChannelName>, number: UInt64) {
        for name in names {
            // One that nobody wants any more ends with the next change.
            var entry = entries[name] ?? Entry(unused: MonotonicInstant(nanoseconds: .min))
            if entries[name] == nil {
                unusedCount += 1
                open.insert(name)
            }
            entry.isHeard = true
            if entry.completeSince == nil { entry.completeSince = number }
            entries[name] = entry
            if entry.useCount > 0 { open.remove(name) }
        }
    }

    /// The server sends nothing any more. What nobody wants is forgotten.
    mutating func didLose() {
        for (name, var entry) in entries {
            if entry.useCount == 0 {
                forget(name)
            } else {
                entry.isHeard = false
                entries[name] = entry
                open.insert(name)
            }
        }
    }

    func isHeard(_ name: ChannelName) -> Bool { entries[name]?.isHeard ?? false }

    /// Since when everything of those is in the feed; `nil` as long as one of them is not heard.
    func completeSince(_ names: [ChannelName]) -> UInt64? {
        var since: UInt64 = 0
        for name in names {
            guard let entry = entries[name], entry.isHeard, let own = entry.completeSince else { return nil }
            since = max(since, own)
        }
        return since
    }
}
