// Opens one database of a configuration, as a daemon would for a session, and says what was found. No client is served, and
// nothing is changed: of a file, only what is there is opened, and for reading.

public import DatabaseContract
internal import LinuxSystem

/// What was found of a database that has answered.
public struct DatabaseFindings: Sendable {
    /// The name of its engine.
    public var engine: String
    public var serverVersion: String
    /// Of several servers the one that has answered.
    public var host: String?
    /// Time until it could be asked, and until it had answered then.
    public var openMicroseconds: Int64
    public var answerMicroseconds: Int64
}

/// One attempt to open a database.
///
/// - Thread: the one that has made it, which waits for the end.
public final class DatabaseTrial {
    private let loop: EventLoop
    private let context: DriverContext
    private let database: any Database
    private let settings: DatabaseSettings
    private let start = MonotonicInstant.now
    private var opened = MonotonicInstant.now
    private var link: (any DatabaseLink)?
    /// It lives until the engine has let go of it.
    private var run: InnerRun?
    private var outcome: Result<DatabaseFindings, DriverError>?

    /// What the engine itself waits for at most is less.
    private static let millisecondsMax: Int64 = 60_000

    /// Fails if there is none of that name, or no other login.
    /// - Parameters:
    ///   - name: a database of the configuration.
    ///   - forReaders: with the login of those who may only read, where it is another one.
    ///   - configuration: that of the server.
    /// - Throws: `DriverError` if its URL is wrong, or the process can have no more descriptors.
    public init?(
        _ name: String, forReaders: Bool = false, in configuration: ServerConfiguration
    ) throws(DriverError) {
        guard let wanted = configuration.databases.first(where: { $0.name == name }) else { return nil }
        if forReaders, wanted.readOnlyURL == nil { return nil }
        let engines = configuration.engines
        engines.adopt(configuration.limits.ofEngines)
        settings = wanted.settings(configuration.limits, loopCount: configuration.loopCount)
        do throws(Errno) { loop = try EventLoop() } catch {
            throw DriverError(.internalError, "No event loop can be made: \(error).")
        }
        let workers = WorkerPool(threadCountMax: 2)
        context = DriverContext(loop: loop, longReadWorkers: workers, promptWorkers: workers)
        let usesReaders = forReaders || wanted.access == .readOnly
        let url = usesReaders ? wanted.readOnlyURL ?? wanted.url : wanted.url
        let location = try engines.location(url: url)
        var plan = DatabasePlan(name: name, isOurs: true, settings: settings, promptWorkers: workers)
        // Whoever may write a file may also change how it is kept.
        plan.isReadOnly = usesReaders || (location.filePath != nil && !location.isMemory)
        plan.password = usesReaders && wanted.readOnlyURL != nil ? wanted.readOnlyPassword : wanted.password
        database = location.makeDatabase(plan)
    }

    /// The file that holds it; `nil` of a server, and in memory.
    public var filePath: String? { database.location.isMemory ? nil : database.location.filePath }

    /// Waits until it has answered, or cannot.
    /// - Throws: the error that a client would get.
    public func findings() throws(DriverError) -> DatabaseFindings {
        let request = SessionRequest(
            owner: LinkOwner(uid: Process.effectiveUID, pid: 0, mayOpenFiles: false), isReadOnly: true)
        let limit = TrialLimit { [weak self] in self?.end(.failure(Self.timeout)) }
        loop.schedule(limit, at: start.advanced(byMilliseconds: Self.millisecondsMax))
        if let opening = database.openSession(request, context, done: { [weak self] in self?.ask($0) }) { ask(opening) }
        while outcome == nil { loop.turn(waiting: true) }
        link?.close()
        guard let outcome else { preconditionFailure("a trial has ended without an outcome") }
        return try outcome.get()
    }

    private func ask(_ opening: SessionOpening) {
        switch opening {
        case .failure(let error): end(.failure(error))
        case .success(let link):
            self.link = link
            opened = .now
            let run = InnerRun("\(link.engine.pingText)", RowSink(), mayWrite: false)
            self.run = run
            run.onFill = { [weak self] in self?.follow(run) }
            run.onEnd = { [weak self] in self?.answered(run) }
            let outcome = link.start(run, for: LinkOwner(uid: Process.effectiveUID, pid: 0, mayOpenFiles: false))
            if outcome == .ended { answered(run) } else if outcome == .filled { follow(run) }
        }
    }

    private func follow(_ run: InnerRun) { if link?.resume(run) == .ended { answered(run) } }

    private func answered(_ run: InnerRun) {
        if let error = run.error { return end(.failure(error)) }
        let findings = DatabaseFindings(
            engine: "\(database.engine.name)", serverVersion: link?.serverVersion ?? "",
            host: database.serverState?.host,
            openMicroseconds: opened.nanoseconds(since: start) / 1000,
            answerMicroseconds: MonotonicInstant.now.nanoseconds(since: opened) / 1000)
        end(.success(findings))
    }

    private func end(_ result: Result<DatabaseFindings, DriverError>) {
        if outcome == nil { outcome = result }
    }

    private static let timeout = DriverError(
        .timeout, "There was no answer within \(millisecondsMax / 1000) s.",
        hint: "Look whether its server, or the file system of its file, answers others.")
}

extension DriverError {
    /// What to do about it, in the words of the protocol; `nil` where nothing is known.
    public var advice: String? { details.wordedHint }
}

/// Ends the waiting.
private final class TrialLimit: EventSource {
    private let act: () -> Void

    init(_ act: @escaping () -> Void) { self.act = act }

    override func timerFired(_ token: UInt64) { act() }
}
