// Users, groups and other processes, from the user database and /proc.

internal import CLinux
internal import Glibc

extension Process {
    /// Number of a user by name or decimal number; `nil` where the user database has no such name (getpwnam_r(3)).
    public static func userID(_ name: String) -> UInt32? {
        if let number = decimal(name) { return number }
        var entry = passwd()
        var result: UnsafeMutablePointer<passwd>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65536) { buffer in
            guard let base = buffer.baseAddress,
                getpwnam_r(name, &entry, base, buffer.count, &result) == 0, result != nil
            else { return nil }
            return entry.pw_uid
        }
    }

    /// Number of a group by name or decimal number; `nil` where the group database has no such name (getgrnam_r(3)).
    public static func groupID(_ name: String) -> UInt32? {
        if let number = decimal(name) { return number }
        var entry = group()
        var result: UnsafeMutablePointer<group>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65536) { buffer in
            guard let base = buffer.baseAddress,
                getgrnam_r(name, &entry, base, buffer.count, &result) == 0, result != nil
            else { return nil }
            return entry.gr_gid
        }
    }

    // The last number stands for "no user" in the kernel (credentials(7), chown(2)).
    private static func decimal(_ text: String) -> UInt32? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        return UInt32(text).flatMap { $0 == .max ? nil : $0 }
    }

    /// A user's groups according to the group database, including `gid`; only that one if the user is unknown.
    static func groupIDs(uid: UInt32, gid: UInt32) -> [UInt32] {
        guard let name = userName(uid: uid) else { return [gid] }
        return GroupList.read { clinux_groups_of_user(name, gid, $0, &$1) == 0 } ?? [gid]
    }

    /// Path of the program that another process runs, as seen now.
    ///
    /// - Parameters:
    ///   - pid: its number, which may have been reused since.
    ///   - ageNanoseconds: how long the process is known to run.
    /// - Returns: `nil` if the process is gone, is younger than that, or may not be inspected (proc(5),
    ///   `/proc/PID/exe`: only the caller's own processes, or all with CAP_SYS_PTRACE).
    public static func executable(pid: Int32, ageNanoseconds: Int64) -> String? {
        guard let start = startNanoseconds(pid: pid), let path = linkTarget("/proc/\(pid)/exe"),
            startNanoseconds(pid: pid) == start
        else { return nil }
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        let began = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec) - ageNanoseconds
        return start <= began ? path : nil
    }

    private static func linkTarget(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = readlink(path, base, buffer.count)
            guard count > 0 else { return nil }
            return String(decoding: UnsafeRawBufferPointer(start: base, count: count), as: UTF8.self)
        }
    }

    /// When a process was started, in nanoseconds since the boot, rounded down to a tick (proc(5), `/proc/PID/stat`).
    private static func startNanoseconds(pid: Int32) -> Int64? {
        guard let bytes = try? Files.read("/proc/\(pid)/stat", byteCountMax: 4096),
            // The name, the second field, may contain anything, but the fields after it have no parenthesis.
            let end = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = bytes[(end + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let ticks = Int64(String(decoding: fields[19], as: UTF8.self)) else { return nil }
        let perSecond = Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        return ticks.multipliedReportingOverflow(by: 1_000_000_000 / perSecond).partialValue
    }
}

/// Group numbers from a call that reports their count if the buffer is too small.
enum GroupList {
    /// NGROUPS_MAX of the kernel (include/uapi/linux/limits.h).
    private static let countMax = 65_536

    static func read(_ call: (UnsafeMutablePointer<UInt32>, inout Int) -> Bool) -> [UInt32]? {
        var room = 64
        for _ in 0..<2 {
            var count = room
            var isRead = false
            let groups = [UInt32](unsafeUninitializedCapacity: room) { buffer, initializedCount in
                guard let base = buffer.baseAddress else { return }
                isRead = call(base, &count)
                initializedCount = isRead ? min(count, room) : 0
            }
            if isRead { return groups }
            guard count > room, count <= countMax else { return nil }
            room = count
        }
        return nil
    }
}
