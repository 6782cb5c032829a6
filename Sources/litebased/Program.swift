// From the command line to the exit status.

internal import Configuration
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
            let options = try CommandLineOptions(parsing: arguments, directory: Process.workingDirectory)
            switch options.action {
            case .help: return print(CommandLineOptions.helpText(), log)
            case .version: return print("litebased \(Product.version)\n", log)
            case .checkConfig, .run: return run(options, log)
            }
        } catch {
            return fail(StartFailure(ExitStatus.usage, error.message), log)
        }
    }

    private static func run(_ options: CommandLineOptions, _ log: Log) -> Int32 {
        let configuration: Configuration
        do throws(ConfigurationError) {
            configuration = try Configuration.load(options)
        } catch {
            error.write(to: log, .configurationInvalid)
            let count = error.problems.count
            // A wrong flag is wrong usage, whatever checks its value.
            let status =
                error.problems.contains { $0.file != nil } ? ExitStatus.configuration : ExitStatus.usage
            ServiceManager.failed(
                "\(error.problems[0])\(count > 1 ? " (and \(count - 1) more)" : "")",
                exitStatus: status, errno: nil)
            return status
        }
        if options.action == .checkConfig { return check(configuration, log) }
        log.setLevel(configuration.settings.logLevel)
        prepareProcess()
        do throws(StartFailure) {
            return try Daemon.run(options, configuration, log)
        } catch {
            return fail(error, log)
        }
    }

    /// What a start would not look at, since it may change while the daemon runs, is looked at here.
    private static func check(_ configuration: Configuration, _ log: Log) -> Int32 {
        let status = print(configuration.toml, log)
        do throws(ConfigurationError) {
            try configuration.checkPasswordFiles()
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

    private static func prepareProcess() {
        Process.setFileModeMask(0o077)
        Process.ignoreStraySignals()
        // One arena for each of the few loops would already be more than the heap needs.
        Process.limitMemoryArenas(2)
    }

    private static func fail(_ failure: StartFailure, _ log: Log) -> Int32 {
        log.write(
            LogRecord(
                .error, failure.message, fields: [("LITEBASE_EXIT_STATUS", "\(failure.status)")],
                id: MessageID.startFailed))
        ServiceManager.failed(failure.message, exitStatus: failure.status, errno: failure.error)
        return failure.status
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
