// The journal's native protocol.

internal import CSystemd
internal import Glibc
public import LinuxSystem

/// Writes records with their fields into the journal.
///
/// - Thread: any.
/// - Source: sd_journal_sendv(3), systemd.exec(5) for `JOURNAL_STREAM`.
public enum Journal {
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
    /// - Returns: false when the journal did not take it.
    public static func send(_ record: LogRecord, message: String, identifier: String) -> Bool {
        var bytes: [UInt8] = []
        var ends: [Int] = []
        func add(_ name: String, _ value: String) {
            bytes += name.utf8
            bytes.append(UInt8(ascii: "="))
            bytes += value.utf8
            ends.append(bytes.count)
        }
        add("MESSAGE", message)
        add("PRIORITY", "\(record.level.rawValue)")
        add("SYSLOG_IDENTIFIER", identifier)
        if let id = record.messageID { add("MESSAGE_ID", id) }
        for field in record.fields { add(field.name, field.value) }
        return send(&bytes, ends)
    }

    private static func send(_ bytes: inout [UInt8], _ ends: [Int]) -> Bool {
        bytes.withUnsafeMutableBytes { buffer in
            var start = 0
            let parts = ends.map { end in
                let part = iovec(iov_base: buffer.baseAddress.map { $0 + start }, iov_len: end - start)
                start = end
                return part
            }
            return sd_journal_sendv(parts, Int32(parts.count)) == 0
        }
    }
}
