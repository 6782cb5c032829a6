// Writes records to a terminal, a file or pipe, or the journal.

internal import LinuxSystem
internal import Server
internal import Synchronization
internal import SystemdSupport

/// The daemon's log.
///
/// - Thread: any; a line is one system call, a record for the journal is sent by a thread of its own.
final class Log: Sendable {
    /// How lines leave the process.
    enum Sink: Equatable {
        /// Readable lines with time and level.
        case lines(colored: Bool)
        /// `<N>` in front of each line: the service manager reads the pipe (sd-daemon(3)).
        case prefixed
        /// The journal's native protocol, with fields.
        case journal
    }

    static let identifier = "litebased"
    private let sink: Sink
    private let level: Atomic<Int>
    private let journal: JournalWriter?

    init(level: LogLevel, sink: Sink) {
        self.level = Atomic(level.rawValue)
        self.sink = sink
        journal = sink == .journal ? Self.makeJournal() : nil
    }

    private static func makeJournal() -> JournalWriter {
        JournalWriter(
            identifier: identifier,
            lossReport: { count in
                LogRecord(
                    .warning, "\(count) messages before this one were lost: systemd-journald did not take them in time",
                    fields: [("LITEBASE_LOST", "\(count)")], id: MessageID.recordsLost)
            },
            elsewhere: { StandardStreams.writeError(LogLine.prefixed($0.level, $0.message)) })
    }

    /// The sink that suits standard error.
    static var suitableSink: Sink {
        if Journal.isStandardError { return .journal }
        switch StandardStreams.errorKind {
        case .terminal: return .lines(colored: Process.environment("NO_COLOR") == nil)
        // A shell below a service inherits its other variables, but not the value of this one (systemd.exec(5)).
        case .pipe where Process.environment("SYSTEMD_EXEC_PID") == "\(Process.pid)": return .prefixed
        case .pipe, .other: return .lines(colored: false)
        }
    }

    /// Starts to send records to the journal, including earlier ones, by a thread of its own.
    /// - Thread: the environment must not change any more.
    func start() { journal?.start() }

    /// Before the end of the process: waits, for a limited time, until everything was sent.
    func finish() { journal?.finish() }

    func setLevel(_ level: LogLevel) { self.level.store(level.rawValue, ordering: .relaxed) }

    /// Writes a record, unless it is less severe than the configured level.
    func write(_ record: LogRecord) {
        guard record.level.rawValue <= level.load(ordering: .relaxed) else { return }
        var record = record
        record.message = LogLine.escaped(record.message)
        switch sink {
        case .journal: journal?.write(record)
        case .prefixed: StandardStreams.writeError(LogLine.prefixed(record.level, record.message))
        case .lines(let colored):
            StandardStreams.writeError(
                LogLine.readable(record.level, record.message, at: WallClock.nanosecondsSince1970, colored: colored))
        }
    }
}
