// From the command line to the exit status.

internal import Configuration
internal import DatabaseContract
internal import DatabaseEngines
internal import LinuxSystem
internal import Server
internal import SystemdSupport

/// The program, step by step.
enum Program {
    /// Runs it.
    /// - Returns: an `ExitStatus`.
    static func run(_ arguments: [String]) -> Int32 {
        StandardStreams.occupyClosed()
        let log = Log(level: .info, sink: Log.suitableSink)
        defer { log.finish() }
        do throws(UsageError) {
            let options = try CommandLineOptions(
                parsing: arguments, directory: Process.workingDirectory, engines: .all)
            switch options.action {
            case .help: return print(CommandLineOptions.helpText(), log)
            case .version: return print("litebased \(Product.version)\n", log)
            case .checkConfig, .listDatabases, .testDatabase, .run: return run(options, log)
            }
        } catch {
            return fail(StartFailure(ExitStatus.usage, error.message), log)
        }
    }

    private static func run(_ options: CommandLineOptions, _ log: Log) -> Int32 {
        let isCheck = options.action != .run
        let failures = StartFailures()
        let paths = StandardPaths.current
        let reader = isCheck ? becomeReader(options, log) : nil
        // The sockets before the files: the number of failed starts comes with them.
        let passed = isCheck ? nil : PassedSockets(failures)
        if !isCheck, let status = failures.begin(log, watching: options.filesOfStart) { return status }
        let configuration: Configuration
        do throws(ConfigurationError) {
            configuration = try Configuration.load(
                options, paths: paths, unknownNames: options.action == .checkConfig ? .refused : .tolerated)
        } catch {
            defer { tellReader(reader, log) }
            return fail(error, options, failures, log)
        }
        guard let passed else {
            let status = answer(options.action, configuration, isDaemon: reader != nil, log)
            if status != ExitStatus.success { tellReader(reader, log) }
            return status
        }
        log.setLevel(configuration.settings.logLevel)
        prepareProcess()
        do throws(StartFailure) {
            return try Daemon.run(options, configuration, log, passed) { failures.didStart() }
        } catch {
            return failures.report(
                error.message, status: error.status, error: error.error, log, watching: options.filesOfStart
            ) { write(error, log) }
        }
    }

    /// The user of the system's service.
    private static let serviceUser = "litebase"

    /// Root can read what the service cannot, so the usual files are checked as the service's user. Files that are
    /// named explicitly belong to whichever daemon they are for.
    /// - Returns: the user, if the process has changed to it.
    private static func becomeReader(_ options: CommandLineOptions, _ log: Log) -> String? {
        guard options.configFile == nil, Process.effectiveUID == 0 else { return nil }
        do throws(Errno) {
            return try Process.become(user: serviceUser) ? serviceUser : nil
        } catch {
            log.write(LogRecord(.warning, "The files are checked as root, not as \(serviceUser): \(error)"))
            return nil
        }
    }

    private static func tellReader(_ reader: String?, _ log: Log) {
        guard let reader else { return }
        log.write(
            LogRecord(
                .notice,
                "Checked as user \(reader), as whom the service runs. To let that user read a file: "
                    + "chgrp \(reader) FILE; chmod 640 FILE"))
    }

    private static func fail(
        _ error: ConfigurationError, _ options: CommandLineOptions, _ failures: StartFailures, _ log: Log
    ) -> Int32 {
        let count = error.problems.count
        // A wrong flag is a usage error, whatever checks its value.
        let status = error.problems.contains { $0.file != nil } ? ExitStatus.configuration : ExitStatus.usage
        if options.action != .run {
            error.write(to: log, .configurationInvalid)
            return status
        }
        return failures.report(
            "\(error.problems[0])\(count > 1 ? " (and \(count - 1) more)" : "")", status: status, error: nil, log,
            watching: options.filesOfStart
        ) { error.write(to: log, .configurationInvalid) }
    }

    /// Does what is asked of a configuration instead of serving it.
    private static func answer(
        _ action: CommandLineOptions.Action, _ configuration: Configuration, isDaemon: Bool, _ log: Log
    ) -> Int32 {
        switch action {
        case .listDatabases: return print(configuration.databaseListing, log)
        case .testDatabase(let name):
            do throws(StartFailure) {
                let report = try DatabaseReport(name, in: configuration)
                let status = print(report.text, log)
                return status == ExitStatus.success ? report.status : status
            } catch {
                return fail(error, log)
            }
        case .run, .checkConfig, .version, .help: return check(configuration, isDaemon: isDaemon, log)
        }
    }

    /// Checks also what a start does not check, because it may change while the daemon runs.
    private static func check(_ configuration: Configuration, isDaemon: Bool, _ log: Log) -> Int32 {
        let status = print(configuration.toml, log)
        do throws(ConfigurationError) {
            try configuration.checkPasswordFiles(isDaemon: isDaemon)
            let wanted = configuration.serverConfiguration(version: Product.version, activation: .standalone)
            for shared in wanted.sharedFiles {
                log.write(LogRecord(.warning, "Databases \(shared.text)", id: MessageID.databasesShareFile))
            }
            return status
        } catch {
            error.write(to: log, .configurationInvalid)
            return ExitStatus.configuration
        }
    }

    /// One for each thread, but for dozens of workers at a time: a loop that shares one with a worker waits for its lock while the
    /// worker, which frees a large schema, is not scheduled.
    private static let memoryArenaCountMax: Int32 = 24

    private static func prepareProcess() {
        Process.setFileModeMask(0o077)
        Process.ignoreStraySignals()
        Process.limitMemoryArenas(memoryArenaCountMax)
    }

    private static func fail(_ failure: StartFailure, _ log: Log) -> Int32 {
        write(failure, log)
        ServiceManager.failed(failure.message, exitStatus: failure.status, errno: failure.error)
        return failure.status
    }

    private static func write(_ failure: StartFailure, _ log: Log) {
        log.write(
            LogRecord(
                .error, failure.message, fields: [("LITEBASE_EXIT_STATUS", "\(failure.status)")],
                id: MessageID.startFailed))
    }

    private static func print(_ text: String, _ log: Log) -> Int32 {
        do throws(Errno) {
            try StandardStreams.writeOutput(text)
            return ExitStatus.success
        } catch {
            return fail(StartFailure(ExitStatus.ioError, "standard output cannot be written: \(error)", error), log)
        }
    }
}
