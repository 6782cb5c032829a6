// The journal's native protocol.

internal import Glibc
public import LinuxSystem
internal import Synchronization

/// Writes records with their fields into the journal.
///
/// - Thread: any; a record is one datagram.
/// - Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL, systemd.exec(5) for `JOURNAL_STREAM`.
public enum Journal {
    /// What became of a record.
    public enum Outcome: Sendable {
        case taken
        /// journald does not read at the moment, and its queue is full.
        case lost
        /// There is no journal, or none that can be reached from here.
        case unavailable
    }

    private static let address = "/run/systemd/journal/socket"
    /// How long the first record waits when the queue is full: a burst must not lose any, a journald that hangs must not
    /// stop who writes. The following ones do not wait until one was taken.
    private static let patienceMilliseconds: Int64 = 100
    private static let socket = try? DatagramSocket(patienceMilliseconds: patienceMilliseconds)
    private static let isStuck = Atomic(false)

    /// Whether standard error leads into the journal.
    ///
    /// Only standard error is looked at: standard output may be redirected on purpose, and `JOURNAL_STREAM` is inherited by
    /// processes whose output goes elsewhere.
    public static var isStandardError: Bool {
        guard let stream = Process.environment("JOURNAL_STREAM") else { return false }
        let parts = stream.split(separator: ":")
        guard parts.count == 2, let device = UInt64(parts[0]), let inode = UInt64(parts[1]) else { return false }
        var info = stat()
        guard fstat(STDERR_FILENO, &info) == 0 else { return false }
        return UInt64(info.st_dev) == device && UInt64(info.st_ino) == inode
    }

    /// Sends one record.
    public static func send(_ record: LogRecord, message: String, identifier: String) -> Outcome {
        guard let socket else { return .unavailable }
        let bytes = entry(record, message: message, identifier: identifier)
        do throws(Errno) {
            try send(bytes, by: socket, to: address)
            isStuck.store(false, ordering: .relaxed)
            return .taken
        } catch {
            guard error == .wouldBlock else { return .unavailable }
            isStuck.store(true, ordering: .relaxed)
            return .lost
        }
    }

    static func send(_ bytes: [UInt8], by socket: DatagramSocket, to address: String) throws(Errno) {
        let waits = !isStuck.load(ordering: .relaxed)
        do throws(Errno) {
            try socket.send(bytes, to: address, waits: waits)
        } catch {
            guard error == .messageTooLong || error == .noBufferSpace else { throw error }
            // What is too large for a datagram travels as a file that nobody can change any more.
            try bytes.withUnsafeBufferPointer { bytes throws(Errno) in
                let file = try Files.sealed(name: "journal-entry", UnsafeRawBufferPointer(bytes))
                try socket.send([], to: address, passing: file.number, waits: waits)
            }
        }
    }

    /// The record as journald reads it.
    static func entry(_ record: LogRecord, message: String, identifier: String) -> [UInt8] {
        var bytes: [UInt8] = []
        append("MESSAGE", message, to: &bytes)
        append("PRIORITY", "\(record.level.rawValue)", to: &bytes)
        append("SYSLOG_IDENTIFIER", identifier, to: &bytes)
        if let id = record.messageID { append("MESSAGE_ID", id, to: &bytes) }
        for field in record.fields { append(field.name, field.value, to: &bytes) }
        return bytes
    }

    // `NAME=value`; a value with line feeds has its length in front of it, in 64 bits with the lowest byte first.
    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        let lineFeed = UInt8(ascii: "\n")
        bytes += name.utf8
        if value.utf8.contains(lineFeed) {
            bytes.append(lineFeed)
            var length = UInt64(value.utf8.count)
            for _ in 0..<8 {
                bytes.append(UInt8(truncatingIfNeeded: length))
                length >>= 8
            }
        } else {
            bytes.append(UInt8(ascii: "="))
        }
        bytes += value.utf8
        bytes.append(lineFeed)
    }
}
