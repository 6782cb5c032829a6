// Records with their fields, sent to systemd-journald by libsystemd.

internal import CSystemd
internal import Glibc
public import LinuxSystem

/// The journal of this machine.
///
/// - Source: sd_journal_sendv(3), systemd.exec(5) for `JOURNAL_STREAM`, for which libsystemd has no function.
public enum Journal {
    /// journald's socket. libsystemd sends there, and reports nothing if there is no such file.
    private static let address = "/run/systemd/journal/socket"

    /// Whether standard error is connected to the journal.
    ///
    /// Only standard error counts: standard output may be redirected on purpose, and processes whose output goes
    /// elsewhere inherit `JOURNAL_STREAM`.
    public static var isStandardError: Bool {
        guard let stream = Process.environment("JOURNAL_STREAM") else { return false }
        let parts = stream.split(separator: ":")
        guard parts.count == 2, let device = UInt64(parts[0]), let inode = UInt64(parts[1]) else { return false }
        var info = stat()
        guard fstat(STDERR_FILENO, &info) == 0 else { return false }
        return UInt64(info.st_dev) == device && UInt64(info.st_ino) == inode
    }

    /// Sends one record; blocks, possibly forever, while journald's queue is full.
    ///
    /// - Returns: false if there is no journal, or none that can be reached from here.
    /// - Thread: one that nobody waits for.
    static func send(_ record: LogRecord, identifier: String) -> Bool {
        guard access(address, F_OK) == 0 else { return false }
        var entry = Entry()
        entry.append("MESSAGE", record.message)
        entry.append("PRIORITY", "\(record.level.rawValue)")
        entry.append("SYSLOG_IDENTIFIER", identifier)
        if let id = record.messageID { entry.append("MESSAGE_ID", id) }
        for field in record.fields { entry.append(field.name, field.value) }
        return entry.send() >= 0
    }

    /// The assignments of a record, one after the other.
    private struct Entry {
        private var bytes: [UInt8] = []
        private var ends: [Int] = []

        mutating func append(_ name: String, _ value: String) {
            bytes += name.utf8
            bytes.append(UInt8(ascii: "="))
            bytes += value.utf8
            ends.append(bytes.count)
        }

        mutating func send() -> Int32 {
            let ends = ends
            return bytes.withUnsafeMutableBytes { bytes in
                withUnsafeTemporaryAllocation(of: iovec.self, capacity: ends.count) { parts in
                    var start = 0
                    for (index, end) in ends.enumerated() {
                        let base = bytes.baseAddress.map { $0 + start }
                        parts.initializeElement(at: index, to: iovec(iov_base: base, iov_len: end - start))
                        start = end
                    }
                    return sd_journal_sendv(parts.baseAddress, Int32(ends.count))
                }
            }
        }
    }
}

/// Writes records into the journal, in order, without waiting for journald.
///
/// - Thread: any.
public final class JournalWriter: Sendable {
    /// Debug records, of which a client can cause any number, leave room for rarer and more important ones.
    private static let debugCountMax = 256
    private static let countMax = 1_024
    private static let byteCountMax = 4 << 20
    /// Approximate size of a record besides its texts.
    private static let overheadByteCount = 200
    /// Debug records are complete as long as journald reads: a faster writer waits for it. If journald hangs, one
    /// writer waits for that time, and then none.
    private static let debugPatienceMilliseconds: Int64 = 100
    private static let endPatienceMilliseconds: Int64 = 1_000

    private let thread: DeliveryThread
    private let deliver: @Sendable (LogRecord) -> Void

    /// - Parameters:
    ///   - identifier: `SYSLOG_IDENTIFIER=` of all records.
    ///   - lossReport: makes the record that says how many are missing before it.
    ///   - elsewhere: takes records if there is no journal.
    public convenience init(
        identifier: String, lossReport: @escaping @Sendable (Int) -> LogRecord,
        elsewhere: @escaping @Sendable (LogRecord) -> Void
    ) {
        self.init(lossReport: lossReport) { record in
            if !Journal.send(record, identifier: identifier) { elsewhere(record) }
        }
    }

    // For tests: with another receiver in journald's place.
    init(lossReport: @escaping @Sendable (Int) -> LogRecord, deliver: @escaping @Sendable (LogRecord) -> Void) {
        self.deliver = deliver
        thread = DeliveryThread(name: "litebase-log", byteCountMax: Self.byteCountMax) { deliver(lossReport($0)) }
    }

    /// Starts to send. Earlier records wait, so that there is only one thread while the environment changes.
    public func start() { thread.start() }

    /// Queues a record; drops and counts it if there is no room.
    public func write(_ record: LogRecord) {
        let deliver = deliver
        let isDebug = record.level == .debug
        let byteCount = record.fields.reduce(record.message.utf8.count + Self.overheadByteCount) { sum, field in
            sum + field.name.utf8.count + field.value.utf8.count
        }
        thread.post(
            byteCount: byteCount, countMax: isDebug ? Self.debugCountMax : Self.countMax,
            patienceMilliseconds: isDebug ? Self.debugPatienceMilliseconds : 0
        ) { deliver(record) }
    }

    /// Before the end of the process: waits until journald has everything, or has taken nothing for a second.
    public func finish() { thread.finish(patienceMilliseconds: Self.endPatienceMilliseconds) }
}
