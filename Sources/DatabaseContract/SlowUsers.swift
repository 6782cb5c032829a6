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
    private struct Record {
        var suspectUntil: MonotonicInstant
        var strikeCount = 0
        var slowUntil = MonotonicInstant(nanoseconds: 0)
    }

    @exclusivity(unchecked) private var records: [UInt32: Record] = [:]

    /// A statement that takes this long on a loop has held it.
    package static let holdNanoseconds: Int64 = 4_000_000
    private static let suspicionNanoseconds: Int64 = 2_000_000_000
    /// For the first time; doubled for each further time.
    private static let firstNanoseconds: Int64 = 1_000_000_000
    private static let doublingCountMax = 6
    /// Time without such a statement after which a user is forgotten.
    private static let memoryNanoseconds: Int64 = 60_000_000_000

    /// The loop's processor time before a statement of `uid`, if it has to be measured.
    package func begin(_ uid: UInt32, now: MonotonicInstant) -> Int64? {
        // Nearly always empty.
        guard !records.isEmpty, let record = records[uid] else { return nil }
        if now < record.suspectUntil { return ThreadClock.nanoseconds }
        if now.nanoseconds(since: max(record.suspectUntil, record.slowUntil)) >= Self.memoryNanoseconds {
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
        if let before, ThreadClock.nanoseconds - before > Self.holdNanoseconds / 2 { strike(&record, now) }
        records[uid] = record
    }

    /// Something that the loop did for `uid` has taken that much processor time, in nanoseconds.
    package func note(_ uid: UInt32, computed: Int64, now: MonotonicInstant) {
        guard computed > Self.holdNanoseconds else { return }
        var record = records[uid] ?? Record(suspectUntil: now)
        strike(&record, now)
        records[uid] = record
    }

    private func strike(_ record: inout Record, _ now: MonotonicInstant) {
        let length = Self.firstNanoseconds << Int64(min(record.strikeCount, Self.doublingCountMax))
        record.strikeCount += 1
        record.slowUntil = now.advanced(byNanoseconds: length)
        record.suspectUntil = record.slowUntil.advanced(byNanoseconds: Self.suspicionNanoseconds)
    }

    /// Whether statements of `uid` start on a worker.
    package func isSlow(_ uid: UInt32, now: MonotonicInstant) -> Bool {
        guard !records.isEmpty, let record = records[uid] else { return false }
        return now < record.slowUntil
    }
}
