// The thread that tells what was committed to a database of MySQL: it asks the server whether the definitions still hold, and reads them
// anew when they do not.

internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem

/// Works as long as somebody listens to the changes of one database.
///
/// - Thread: its own, which may block.
final class MySQLChangeWatch {
    private struct Open {
        var handle: UnsafeMutablePointer<MYSQL>
        var hostIndex: Int
        var since: MonotonicInstant
    }

    private let changes: MySQLChanges
    private var open: Open?
    private var hostIndex = 0
    private var facts: MySQLFacts?
    /// When the definitions may be read again, and when they are read again although nothing says that they have changed.
    private var nextReading = MonotonicInstant.now
    private var nextCheck = MonotonicInstant.now
    private var checkMilliseconds = firstCheckMilliseconds
    /// The definitions are not known.
    private var areFactsDue = true
    private var hasRead = false
    /// Something was told since the last reading.
    private var hasTold = false
    private var lost: [MySQLLostConnection] = []
    private var nextLook = MonotonicInstant.now
    private var lookMilliseconds = firstLookMilliseconds
    private var attemptMilliseconds = firstAttemptMilliseconds

    /// The server counts a change of a definition when it begins, and it may take effect after they were read. So they are read once more
    /// after this time, and then after twice that, up to the last.
    private static let firstCheckMilliseconds: Int64 = 1_000
    private static let lastCheckMilliseconds: Int64 = 60_000
    /// Reading takes no more than this part of the time.
    private static let readingShare: Int64 = 4
    /// Between two looks whether a lost connection has ended.
    private static let firstLookMilliseconds: Int64 = 20
    private static let lastLookMilliseconds: Int64 = 1_000
    /// Between two attempts to connect.
    private static let firstAttemptMilliseconds: Int64 = 100
    private static let lastAttemptMilliseconds: Int64 = 5_000
    /// Between two looks at the fingerprint while statements only read.
    private static let readMilliseconds: Int64 = 1_000
    private var nextFingerprint = MonotonicInstant.now

    init(_ changes: MySQLChanges) { self.changes = changes }

    func run() {
        Thread.mayBlock = true
        defer { close() }
        changes.beginWithoutReaders()
        do throws(DriverError) {
            try connect()
        } catch {
            return changes.didBegin(error)
        }
        readFacts()
        changes.didBegin(nil)
        while !changes.endIfDeserted() {
            wait()
            let work = changes.takeWork()
            for connection in work.lost { MySQLChanges.add(connection, to: &lost) }
            if work.areFactsDue { areFactsDue = true }
            if changes.takeRead() { hasRead = true }
            tell(work.commits)
            lookAtFacts()
            changes.lookAtWaitingReaders()
            lookForLost()
        }
    }

    /// Until there is something to do.
    private func wait() {
        let now = MonotonicInstant.now
        var due: [MonotonicInstant] = []
        if let desertion = changes.desertion { due.append(desertion) }
        if areFactsDue { due.append(nextReading) }
        if hasRead { due.append(nextFingerprint) }
        if hasTold { due.append(nextCheck) }
        if !lost.isEmpty { due.append(nextLook) }
        guard let next = due.min() else { return changes.bell.wait() }
        // A millisecond is what it counts in.
        _ = changes.bell.wait(milliseconds: max(0, next.nanoseconds(since: now) / 1_000_000 + 1))
    }

    // MARK: Telling

    private func tell(_ commits: [MySQLCommit]) {
        if commits.isEmpty { return }
        hasTold = true
        let holds = factsHold()
        for commit in commits {
            let isCertain = holds && commit.facts === facts
            let gap = commit.gap ?? (isCertain ? nil : .unknownRelations)
            if commit.relations.isEmpty, !commit.changesSchema, gap == nil { continue }
            changes.feed.tell(commit.relations, changesSchema: commit.changesSchema, gap: gap)
        }
    }

    /// Whether the definitions are those that were read; if not, they are due.
    private func factsHold() -> Bool {
        nextFingerprint = .now.advanced(byMilliseconds: Self.readMilliseconds)
        guard let open, let facts else { return false }
        do throws(DriverError) {
            // Of several servers another one may take the writes by now.
            if changes.isOutdated(open.since) { throw Self.outdated }
            let fingerprint = try changes.reader(open.handle).readFingerprint()
            if fingerprint == facts.fingerprint { return true }
        } catch {
            close()
        }
        forgetFacts()
        return false
    }

    private static let outdated = DriverError(.connectFailed, "Another server takes the writes.", sqlState: "08006")

    private func forgetFacts() {
        changes.forgetReaders()
        changes.set(nil, hostIndex: 0)
        areFactsDue = true
    }

    // MARK: Definitions

    private func lookAtFacts() {
        let now = MonotonicInstant.now
        if !areFactsDue, hasRead, nextFingerprint <= now {
            hasRead = false
            hasTold = true
            _ = factsHold()
        }
        if !areFactsDue, hasTold, nextCheck <= now { areFactsDue = true }
        guard areFactsDue, nextReading <= now else { return }
        // The server looks at some rights only when a connection is made: those that write may have others than this one has had.
        close()
        do throws(DriverError) { try connect() } catch {
            forgetFacts()
            nextReading = .now.advanced(byMilliseconds: attemptMilliseconds)
            attemptMilliseconds = min(2 * attemptMilliseconds, Self.lastAttemptMilliseconds)
            return
        }
        readFacts()
    }

    private func connect() throws(DriverError) {
        let since = MonotonicInstant.now
        let opened = try changes.connect()
        open = Open(handle: opened.handle, hostIndex: opened.hostIndex, since: since)
        if opened.hostIndex != hostIndex {
            // Another server counts for itself.
            if facts != nil { changes.feed.tell(.unknownRelations) }
            facts = nil
        }
        hostIndex = opened.hostIndex
        changes.isConnected = true
    }

    private func close() {
        guard let open = open.take() else { return }
        libmariadb.mysql_close(open.handle)
        changes.isConnected = false
    }

    private func readFacts() {
        guard let open else { return }
        let began = MonotonicInstant.now
        let former = facts
        hasTold = false
        do throws(DriverError) {
            let reader = changes.reader(open.handle)
            let found = try reader.readFacts(try reader.readFingerprint())
            areFactsDue = false
            attemptMilliseconds = Self.firstAttemptMilliseconds
            take(found, former)
            changes.lookAtListeningReaders()
            changes.set(facts, hostIndex: open.hostIndex)
        } catch {
            close()
            forgetFacts()
        }
        let now = MonotonicInstant.now
        nextReading = now.advanced(byNanoseconds: max(attemptPause, Self.readingShare * now.nanoseconds(since: began)))
        nextCheck = now.advanced(byMilliseconds: checkMilliseconds)
    }

    private var attemptPause: Int64 { areFactsDue ? attemptMilliseconds * 1_000_000 : 0 }

    /// What was told by the former ones may have been wrong, if others are there than the server has counted; and nothing may have been
    /// told of what writes by new ones.
    private func take(_ found: MySQLFacts, _ former: MySQLFacts?) {
        let isSame = former?.rows == found.rows
        if isSame, former?.fingerprint == found.fingerprint {
            checkMilliseconds = min(2 * checkMilliseconds, Self.lastCheckMilliseconds)
            return
        }
        if let former, former.fingerprint == found.fingerprint || found.mayWriteMore(than: former) {
            changes.feed.tell(.unknownRelations)
        }
        checkMilliseconds = Self.firstCheckMilliseconds
        facts = found
    }

    // MARK: Lost connections

    private func lookForLost() {
        if lost.isEmpty {
            lookMilliseconds = Self.firstLookMilliseconds
            return
        }
        guard nextLook <= .now else { return }
        let countBefore = lost.count
        lost.removeAll { (try? changes.mayGoOn($0)) == false }
        // Of many it cannot be said when each has ended.
        if lost.count < countBefore || lost.contains(where: \.isMany) { changes.feed.tell(.mayHaveWritten) }
        nextLook = .now.advanced(byMilliseconds: lookMilliseconds)
        lookMilliseconds = min(2 * lookMilliseconds, Self.lastLookMilliseconds)
    }
}
