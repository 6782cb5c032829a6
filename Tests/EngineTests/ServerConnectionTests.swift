// A connection to a server and its holder: from the moment in which it is given away, it is somebody else's.

import Glibc
import LinuxSystem
import Synchronization
import Testing

@testable import DatabaseContract
@testable import RedisEngine
@testable import RemoteDatabases

/// A connection whose server answers when the test says so. Each statement leaves something that is to be cleared.
private final class ScriptedConnection: ServerConnection {
    /// Answers that are there, or still come without being waited for.
    private var answerCount = 0
    var isLost = false
    /// It is told when it is closed, which takes its time.
    var onFinish: (@Sendable () -> Void)?
    private let end: OwnedDescriptor

    init(_ end: consuming OwnedDescriptor) {
        self.end = end
        super.init()
    }

    override var socketNumber: Int32 { end.number }
    override func send(_ run: StatementRun) { needsReset = true }
    override func sendReset() -> Bool { true }
    override func finish() { onFinish?() }
    override func advance(isReadable: Bool) -> Progress {
        if isLost { return .broken(DriverError(.connectFailed, "lost")) }
        guard answerCount > 0 else { return .waiting(.readable) }
        answerCount -= 1
        return .ended
    }

    /// The server answers the next so many things that are sent, or were.
    func answer(count: Int) {
        answerCount = count
        handle(.readable)
    }
}

/// Gives the connection to whoever is next as soon as it may be used again.
private final class GivingHolder: ConnectionHolder {
    var next: (() -> Void)?

    func connectionDidSettle(_ connection: ServerConnection) { next.take()?() }
    func connectionDidBreak(_ connection: ServerConnection) {}
}

@Suite struct ServerConnectionTests {
    private let harness: DriverHarness
    private let connection: ScriptedConnection
    private let holder = GivingHolder()
    private let mode = RunMode(isReadOnly: false, isSession: false)

    init() throws {
        harness = try DriverHarness()
        connection = ScriptedConnection(OwnedDescriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)))
        try connection.attach(harness.context, cancellers: harness.context.longReadWorkers)
        connection.holder = holder
    }

    /// The next one to have it is served by another thread, perhaps, and may have come any distance while this one waits for a
    /// processor: as far as to wait for the connection to be cleared behind it.
    @Test func whoeverHasItNextIsNotTouched() {
        let (first, second) = (TestRun("first"), TestRun("second"))
        holder.next = { [connection, harness, mode] in connection.start(second, mode, for: harness.owner).tell(second) }
        connection.start(first, mode, for: harness.owner).tell(first)
        #expect(!first.hasEnded && connection.phase == .running)
        // The server answers the statement, what clears the connection, and the second statement, but not what clears it again.
        connection.answer(count: 3)
        #expect(first.endCount == 1 && second.endCount == 0)
        #expect(connection.phase == .resetting)
        connection.answer(count: 1)
        #expect(first.endCount == 1 && second.endCount == 1)
        #expect(connection.phase == .idle && !connection.needsReset)
    }

    /// One that is stopped while the connection is cleared behind it is told at once, and once.
    @Test func whoIsStoppedMeanwhileIsToldOnce() {
        let run = TestRun("first")
        connection.start(run, mode, for: harness.owner).tell(run)
        connection.answer(count: 1)
        #expect(connection.phase == .resetting && !run.hasEnded)
        connection.stop(run, .cancelled).tell(run)
        #expect(run.endCount == 1)
        connection.answer(count: 1)
        #expect(run.endCount == 1 && connection.phase == .idle)
    }

    /// One that waits for the connection to be cleared is told when that is lost instead.
    @Test func whoWaitsForAConnectionThatIsLostIsToldOnce() {
        let run = TestRun("first")
        connection.start(run, mode, for: harness.owner).tell(run)
        connection.answer(count: 1)
        #expect(connection.phase == .resetting && !run.hasEnded)
        connection.isLost = true
        connection.handle(.hangUp)
        #expect(run.endCount == 1 && run.error == nil && connection.phase == .broken)
    }
}

/// A server that counts its connections, each of which is worn by one statement.
private struct CountingDriver: RemoteDriver {
    let counts = Counts()
    let settings = RemoteSettings(
        connectionCountMax: 1, waitMillisecondsMax: 5_000, idleMillisecondsMax: 60_000, lifetimeMillisecondsMax: 0,
        connectMillisecondsMax: 1_000)

    final class Counts: Sendable {
        private let state = Mutex((open: 0, peak: 0))

        func change(by count: Int) {
            state.withLock { state in
                state.open += count
                state.peak = max(state.peak, state.open)
            }
        }

        var peak: Int { state.withLock { $0.peak } }
    }

    var engine: Engine { .redis }
    // Nobody asks where it is.
    var location: any DatabaseLocation { preconditionFailure("a driver of a test is nowhere") }
    var label: String { "counting" }
    var secrets: [String] { [] }
    var serverCount: Int { 1 }
    func check(_ run: StatementRun, _ mode: RunMode) {}
    func open(password: String?) -> HandedOver<ServerConnection> {
        counts.change(by: 1)
        let connection = ScriptedConnection(OwnedDescriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)))
        connection.isWorn = true
        connection.answer(count: 2)
        connection.onFinish = { [counts] in
            usleep(30_000)
            counts.change(by: -1)
        }
        return HandedOver(connection)
    }
}

@Suite struct WornConnectionTests {
    private func database(of driver: CountingDriver, _ harness: DriverHarness) -> RemoteDatabase {
        let embedded = EmbeddedSettings(
            busyMillisecondsMax: 1, readerCountMax: 1, statementCountMax: 1, valueByteCountMax: 1,
            pageCacheByteCountMax: 1)
        let plan = DatabasePlan(
            name: "counting", isOurs: true, settings: DatabaseSettings(embedded: embedded, remote: driver.settings),
            promptWorkers: harness.context.promptWorkers)
        return RemoteDatabase(driver, plan)
    }

    /// With more places there are more threads to connect, and with fewer there are fewer.
    @Test func threadsFollowTheNumberOfConnections() throws {
        let harness = try DriverHarness()
        let driver = CountingDriver()
        let database = database(of: driver, harness)
        for (count, wanted) in [(7, 7), (100, 32), (2, 2)] {
            database.setConnectionCountMax(count)
            #expect(database.connectors.threadCountMax == wanted && database.poolLoad?.connectionCountMax == count)
        }
    }

    /// The server has a limit, too: the place of a connection that a worker closes is given on when it is closed.
    @Test func aPlaceIsFreeWhenItsConnectionIsClosed() throws {
        let harness = try DriverHarness()
        let driver = CountingDriver()
        let database = database(of: driver, harness)
        let link = database.makeSharedLink(harness.context)
        let runs = (0..<4).map { TestRun("\($0)") }
        for run in runs { link.start(run, for: harness.owner).tell(run) }
        harness.wait { runs.allSatisfy(\.hasEnded) }
        #expect(runs.allSatisfy { $0.error == nil })
        #expect(driver.counts.peak == 1)
    }
}
