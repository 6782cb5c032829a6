// What bounds a loop does not know of all that may take long in one step. Whoever has found such a thing gets no further piece
// of a loop with it for a while, so that it is held now and then and not again and again.

internal import LinuxSystem

/// Users whose statements start on workers for a while, since they have held a loop.
///
/// A loop that was not given a processor looks as if it had been held. So the first time makes a user suspect, and only while
/// he is, the processor time of his statements is asked for, which is a system call; not that of statements that have been quick
/// (`CachedStatement.isQuick`), of which one that has held the loop is none.
///
/// - Thread: the loop's.
final class SlowUsers {
    private struct Record {
        var suspectUntil: MonotonicInstant
        var strikeCount = 0
        var slowUntil = MonotonicInstant(nanoseconds: 0)
    }

    @exclusivity(unchecked) private var records: [UInt32: Record] = [:]

    /// A statement that takes as long on a loop has held it.
    static let holdNanoseconds: Int64 = 4_000_000
    private static let suspicionNanoseconds: Int64 = 2_000_000_000
    /// After the first time; it doubles with each further one.
    private static let firstNanoseconds: Int64 = 1_000_000_000
    private static let doublingCountMax = 6
    /// Time without anything of the kind after which a user is forgotten.
    private static let memoryNanoseconds: Int64 = 60_000_000_000

    /// Processor time of the loop before a statement of `uid`, if that is to be known.
    func begin(_ uid: UInt32, now: MonotonicInstant) -> Int64? {
        // Nearly always: there is nobody.
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
    ///   - before: what `begin` gave.
    ///   - now: when it has.
    func noteHold(_ uid: UInt32, since before: Int64?, now: MonotonicInstant) {
        var record = records[uid] ?? Record(suspectUntil: now)
        record.suspectUntil = now.advanced(byNanoseconds: Self.suspicionNanoseconds)
        if let before, ThreadClock.nanoseconds - before > Self.holdNanoseconds / 2 {
            let length = Self.firstNanoseconds << Int64(min(record.strikeCount, Self.doublingCountMax))
            record.strikeCount += 1
            record.slowUntil = now.advanced(byNanoseconds: length)
            record.suspectUntil = record.slowUntil.advanced(byNanoseconds: Self.suspicionNanoseconds)
        }
        records[uid] = record
    }

    /// Whether statements of `uid` start on a worker.
    func isSlow(_ uid: UInt32, now: MonotonicInstant) -> Bool {
        guard !records.isEmpty, let record = records[uid] else { return false }
        return now < record.slowUntil
    }
}
