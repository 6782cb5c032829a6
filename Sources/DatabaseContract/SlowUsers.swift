// The limits of a loop do not cover everything that may take long in one step. A user whose statement holds a loop gets
// no time on it for a while, so that this happens now and then and not again and again.

package import LinuxSystem

/// Users whose statements start on workers for a while, because they have held a loop.
///
/// A loop that was not scheduled looks as if a statement had held it. So the first time only makes a user suspect. Only
/// for a suspect is the processor time of statements measured, which costs a system call, and not for statements that
/// have been quick (`CachedStatement.isQuick`), since none of those has held the loop.
///
/// - Thread: the loop's.
package final class SlowUsers {
    /// For how long a user is kept away.
    private struct Penalty {
        private var strikeCount = 0
        private(set) var until = MonotonicInstant(nanoseconds: 0)

        /// For the first time; doubled for each further time.
        private static let firstNanoseconds: Int64 = 1_000_000_000
        private static let doublingCountMax = 6

        mutating func strike(_ now: MonotonicInstant) {
            until = now.advanced(byNanoseconds: Self.firstNanoseconds << Int64(min(strikeCount, Self.doublingCountMax)))
            strikeCount += 1
        }
    }

    private struct Record {
        var suspectUntil: MonotonicInstant
        var running = Penalty()
        var preparing = Penalty()

        var lastUntil: MonotonicInstant { max(suspectUntil, max(running.until, preparing.until)) }
    }

    @exclusivity(unchecked) private var records: [UInt32: Record] = [:]

    /// A statement that takes this long on a loop has held it.
    package static let holdNanoseconds: Int64 = 4_000_000
    /// Preparing has held it from here on: what is a little slow is stopped by the clock, and writes that workers prepare wait behind the
    /// long reads of their user.
    private static let preparationHoldNanoseconds: Int64 = 20_000_000
    private static let suspicionNanoseconds: Int64 = 2_000_000_000
    /// Time without such a statement after which a user is forgotten.
    private static let memoryNanoseconds: Int64 = 60_000_000_000

    /// The loop's processor time before a statement of `uid`, if it has to be measured.
    package func begin(_ uid: UInt32, now: MonotonicInstant) -> Int64? {
        // Nearly always empty.
        guard !records.isEmpty, let record = records[uid] else { return nil }
        if now < record.suspectUntil { return ThreadClock.nanoseconds }
        if now.nanoseconds(since: record.lastUntil) >= Self.memoryNanoseconds {
            records[uid] = nil
        }
        return nil
    }

    /// A statement of `uid` has taken longer than `holdNanoseconds`.
    /// - Parameters:
    ///   - uid: the user.
    ///   - before: the result of `begin`.
    ///   - now: when it has.
    package func noteHold(_ uid: UInt32, since before: Int64?, now: MonotonicInstant) {
        var record = records[uid] ?? Record(suspectUntil: now)
        record.suspectUntil = now.advanced(byNanoseconds: Self.suspicionNanoseconds)
        if let before, ThreadClock.nanoseconds - before > Self.holdNanoseconds / 2 {
            record.running.strike(now)
            record.suspectUntil = record.running.until.advanced(byNanoseconds: Self.suspicionNanoseconds)
        }
        records[uid] = record
    }

    /// The loop has prepared something for `uid`, which took that much processor time, in nanoseconds.
    package func notePreparation(_ uid: UInt32, computed: Int64, now: MonotonicInstant) {
        guard computed > Self.preparationHoldNanoseconds else { return }
        var record = records[uid] ?? Record(suspectUntil: now)
        record.preparing.strike(now)
        records[uid] = record
    }

    /// Whether statements of `uid` start on a worker.
    package func isSlow(_ uid: UInt32, now: MonotonicInstant) -> Bool {
        guard !records.isEmpty, let record = records[uid] else { return false }
        return now < record.running.until
    }

    /// Whether workers prepare the statements of `uid`.
    package func preparesSlowly(_ uid: UInt32, now: MonotonicInstant) -> Bool {
        guard !records.isEmpty, let record = records[uid] else { return false }
        return now < record.preparing.until
    }
}
