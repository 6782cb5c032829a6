// Where records go: a terminal, a file or pipe, or the journal.

internal import LinuxSystem
internal import Server
internal import Synchronization
internal import SystemdSupport

/// The daemon's log.
///
/// - Thread: any; each record is one system call.
final class Log: Sendable {
    /// How lines leave the process.
    enum Sink: Sendable {
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
    /// Records that the journal did not take in time, since it took the last one.
    private let lostCount = Atomic(0)

    init(level: LogLevel, sink: Sink) {
        self.level = Atomic(level.rawValue)
        self.sink = sink
    }

    /// The sink that suits standard error.
    static var suitableSink: Sink {
        if Journal.isStandardError { return .journal }
        switch StandardStreams.errorKind {
        case .terminal: return .lines(colored: Process.environment("NO_COLOR") == nil)
        // A shell below a service inherits its other variables, but not this one's value (systemd.exec(5)).
        case .pipe where Process.environment("SYSTEMD_EXEC_PID") == "\(Process.pid)": return .prefixed
        case .pipe, .other: return .lines(colored: false)
        }
    }

    func setLevel(_ level: LogLevel) { self.level.store(level.rawValue, ordering: .relaxed) }

    /// Writes a record, unless it is less severe than what is wanted.
    func write(_ record: LogRecord) {
        guard record.level.rawValue <= level.load(ordering: .relaxed) else { return }
        let message = LogLine.escaped(record.message)
        switch sink {
        case .journal: writeToJournal(record, message)
        case .prefixed: StandardStreams.writeError(LogLine.prefixed(record.level, message))
        case .lines(let colored):
            StandardStreams.writeError(
                LogLine.readable(record.level, message, at: WallClock.nanosecondsSince1970, colored: colored))
        }
    }

    private func writeToJournal(_ record: LogRecord, _ message: String) {
        switch Journal.send(record, message: message, identifier: Self.identifier) {
        case .taken: reportLost()
        // Not to standard error: journald reads that as well, and a stream would block.
        case .lost: lostCount.add(1, ordering: .relaxed)
        case .unavailable: StandardStreams.writeError(LogLine.prefixed(record.level, message))
        }
    }

    private func reportLost() {
        guard lostCount.load(ordering: .relaxed) > 0 else { return }
        let count = lostCount.exchange(0, ordering: .relaxed)
        guard count > 0 else { return }
        let record = LogRecord(
            .warning, "\(count) messages before this one were lost: systemd-journald did not take them in time",
            fields: [("LITEBASE_LOST", "\(count)")], id: MessageID.recordsLost)
        if case .taken = Journal.send(record, message: record.message, identifier: Self.identifier) { return }
        lostCount.add(count, ordering: .relaxed)
    }
}
