// The life of the daemon on its control loop: start, serve, end. Signals and timers: Daemon+Events.swift; the new
// configuration of a SIGHUP: Daemon+Reload.swift.

internal import Configuration
internal import Glibc
internal import LinuxSystem
internal import Server
internal import SystemdSupport

/// One running daemon.
///
/// - Thread: the one that runs the control loop.
final class Daemon: EventSource {
    let loop: EventLoop
    let server: Server
    let observer: Observer
    let log: Log
    let options: CommandLineOptions
    var configuration: Configuration
    /// The settings at the start; those that need a restart are compared with them.
    let settingsAtStart: Settings
    /// True when systemd holds all the sockets.
    let isActivated: Bool
    /// Number of signals that requested the end.
    var stopRequestCount = 0
    /// When a client was last seen; for the idle exit.
    var lastBusy = MonotonicInstant.now
    /// Connections that had been accepted by then.
    var lastAcceptedCount: UInt64 = 0
    var idleTimer: TimerID?
    var namesTimer: TimerID?
    var lastStatus = ""
    /// Messages to systemd that are known to be lost.
    var lostNotificationCount = 0
    /// The loops were asked for an answer, and not all have replied.
    var isVisitingLoops = false
    var hasReportedStall = false
    private var listeners: Listeners
    private var exitStatus = ExitStatus.success

    /// Starts, serves and ends.
    ///
    /// - Parameters:
    ///   - options: the command line.
    ///   - configuration: the configuration in force.
    ///   - log: the log.
    ///   - passed: systemd's sockets.
    ///   - didStart: called when it serves.
    /// - Returns: the exit status.
    /// - Throws: `StartFailure` when it does not start.
    static func run(
        _ options: CommandLineOptions, _ configuration: Configuration, _ log: Log, _ passed: PassedSockets,
        didStart: () -> Void
    ) throws(StartFailure) -> Int32 {
        let loop: EventLoop
        let relay = SignalRelay()
        do throws(Errno) {
            loop = try EventLoop()
            // Before the server starts threads: they inherit the blocked signals.
            let signals = try SignalSource([SIGTERM, SIGINT, SIGHUP]) { relay.daemon?.handle(signal: $0, sender: $1) }
            try signals.register(with: loop)
        } catch {
            throw StartFailure(ExitStatus.systemError, "the event loop cannot be made: \(error)", error)
        }
        let daemon = try Daemon(options, configuration, log, loop, passed)
        relay.daemon = daemon
        do throws(StartFailure) {
            try daemon.start()
        } catch {
            daemon.listeners.remove()
            throw error
        }
        didStart()
        loop.run()
        daemon.listeners.remove()
        return daemon.exitStatus
    }

    private init(
        _ options: CommandLineOptions, _ configuration: Configuration, _ log: Log, _ loop: EventLoop,
        _ passed: PassedSockets
    ) throws(StartFailure) {
        self.options = options
        self.configuration = configuration
        settingsAtStart = configuration.settings
        self.log = log
        self.loop = loop
        // The sockets first: their lock decides whether this process may open the databases.
        var listeners = try Listeners(configuration, passed, log)
        isActivated = listeners.isActivated
        // systemd's variables are removed from the environment now, and signals are blocked for later threads.
        log.start()
        observer = Observer(
            level: configuration.settings.logLevel, statementLog: configuration.settings.statementLog
        ) { log.write($0.record) }
        do throws(StartFailure) {
            server = try Self.makeServer(configuration, loop, observer, listeners, log)
        } catch {
            listeners.remove()
            throw error
        }
        self.listeners = listeners
        super.init()
    }

    private static func makeServer(
        _ configuration: Configuration, _ loop: EventLoop, _ observer: Observer, _ listeners: borrowing Listeners,
        _ log: Log
    ) throws(StartFailure) -> Server {
        let isActivated = listeners.isActivated
        configuration.reportUnknownNames(to: log)
        try makeStateDirectory(configuration)
        do throws(Errno) {
            let wanted = possible(configuration, isActivated: isActivated, log)
            // Without systemd's sockets nobody starts the next process.
            let store = isActivated && ServiceManager.isPresent ? ServiceManagerStore() : nil
            return try Server(
                configuration: wanted, controlLoop: loop, observer: observer, store: store, kept: listeners.kept)
        } catch {
            throw StartFailure(ExitStatus.systemError, "the server cannot be made: \(error)", error)
        }
    }

    /// The server's configuration, lowered to what the open files and the memory of the process allow; logs what was
    /// lowered.
    static func possible(_ configuration: Configuration, isActivated: Bool, _ log: Log) -> ServerConfiguration {
        var wanted = configuration.serverConfiguration(
            version: Product.version, activation: isActivated ? .socket : .standalone)
        let descriptorCount = Process.raiseDescriptorLimit()
        let (limits, changes) = wanted.limits.fitting(descriptorCount: descriptorCount)
        wanted.limits = limits
        for change in changes {
            log.write(
                LogRecord(
                    .notice,
                    "\(change.name) is \(change.wanted), but the process may have \(descriptorCount) open files: "
                        + "\(change.value) is in force",
                    fields: [("LITEBASE_LIMIT", change.name)], id: MessageID.limitsLowered))
        }
        fitMemory(&wanted.limits, configuration.givenMemoryLimits, log)
        return wanted
    }

    private static func fitMemory(_ limits: inout Limits, _ given: GivenMemoryLimits, _ log: Log) {
        let byteCount = Process.memoryByteCountMax
        let fitting = limits.fitting(memoryByteCount: byteCount, given: given)
        limits = fitting.limits
        for change in fitting.changes {
            log.write(
                LogRecord(
                    .notice,
                    "\(change.name) is \(change.value), for the process may have \(byteCount) bytes of memory",
                    fields: [("LITEBASE_LIMIT", change.name)], id: MessageID.memoryLimits))
        }
        guard fitting.isExceeded else { return }
        log.write(
            LogRecord(
                .warning,
                "Clients may take more memory than is good for a process that may have \(byteCount) bytes: one user "
                    + "more than a quarter, or all more than half; lower limits.sqlite_memory_bytes_max, "
                    + "limits.sqlite_memory_bytes_per_user_max and limits.buffered_bytes_per_user_max, or remove them "
                    + "from the configuration", id: MessageID.memoryLimits))
    }

    /// Makes the directory of the embedded database, for its owner only.
    static func makeStateDirectory(_ configuration: Configuration) throws(StartFailure) {
        guard let directory = configuration.stateDirectory else { return }
        do throws(Errno) {
            try Files.makeDirectories(directory, mode: 0o700)
        } catch {
            throw StartFailure(
                ExitStatus.of(error, or: ExitStatus.cannotCreate),
                "the state directory \(directory) cannot be made: \(error); "
                    + "set STATE_DIRECTORY or XDG_STATE_HOME, or give --database default=PATH", error)
        }
    }

    private func start() throws(StartFailure) {
        server.onReloadRequest { [unowned self] answer in reload(answer) }
        for listener in listeners.all {
            do throws(Errno) {
                try server.addListener(
                    listener.take(), address: listener.address, inherited: listener.isInherited,
                    isForMonitors: listener.isForMonitors)
            } catch {
                throw StartFailure(ExitStatus.systemError, "\(listener.address) cannot be served: \(error)", error)
            }
        }
        lastStatus = status
        ServiceManager.ready(status: lastStatus)
        scheduleTimers()
        // Who is accepted, or read from, by a process that dies before it is ready is lost to the next one; who waits in
        // systemd's socket is not. So nothing of a client's is touched before that is on its way.
        ServiceManager.flush()
        server.goOnWithFormerConnections()
        refreshStatus()
    }

    override func timerFired(_ token: UInt64) { fired(Timer(rawValue: token)) }

    /// One line for `systemctl status`.
    var status: String {
        let line = server.statusLine
        return line.isEmpty ? "Ready" : line
    }

    /// Ends the loop.
    func finish(_ status: Int32) {
        exitStatus = status
        loop.stop()
    }

    /// Ends the process from within the loop, without waiting for anything.
    func abandon(_ status: Int32) -> Never {
        listeners.remove()
        log.finish()
        Process.exitAtOnce(status)
    }
}

/// systemd keeps the connections.
private struct ServiceManagerStore: DescriptorStore {
    func keep(_ descriptor: Int32, name: String, isWatched: Bool) {
        ServiceManager.keep(descriptor, name: name, isWatched: isWatched)
    }
    func forget(name: String) { ServiceManager.forget(name: name) }
    func flush() { ServiceManager.flush() }
}

/// Breaks a cycle: signals are blocked before there is a daemon.
private final class SignalRelay {
    weak var daemon: Daemon?
}
