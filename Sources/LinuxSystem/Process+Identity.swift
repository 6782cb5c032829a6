// The user of this process, and the users that it can distinguish.

internal import CLinux
internal import Glibc

extension Process {
    /// Changes the process's user permanently, with all of the user's groups.
    /// - Returns: false if there is no such user.
    /// - Throws: `Errno` if that is not permitted.
    public static func become(user name: String) throws(Errno) -> Bool {
        var entry = passwd()
        var result: UnsafeMutablePointer<passwd>?
        let found: (UInt32, UInt32)? = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65_536) { buffer in
            guard let base = buffer.baseAddress, getpwnam_r(name, &entry, base, buffer.count, &result) == 0,
                result != nil
            else { return nil }
            return (entry.pw_uid, entry.pw_gid)
        }
        guard let found else { return false }
        if clinux_become(name, found.0, found.1) != 0 { throw .current }
        return true
    }
}

/// User or group numbers that a process sees unchanged; it sees all others as one number, "nobody".
///
/// - Source: user_namespaces(7), `/proc/PID/uid_map`.
public struct VisibleIDs: Sendable {
    private let ranges: [Range<UInt64>]

    /// - Parameter map: text of `/proc/PID/uid_map`: first number inside, first number outside, count.
    public init(map: String) {
        ranges = map.split(separator: "\n").compactMap { line in
            let numbers = line.split(separator: " ").compactMap { UInt64($0) }
            guard numbers.count == 3 else { return nil }
            let (end, overflow) = numbers[0].addingReportingOverflow(numbers[2])
            return overflow ? nil : numbers[0]..<end
        }
    }

    /// Whether a number is seen unchanged.
    public func contains(_ id: UInt32) -> Bool { ranges.contains { $0.contains(UInt64(id)) } }

    /// The visible users of this process; `nil` if that cannot be found out.
    public static let users = read("/proc/self/uid_map")
    public static let groups = read("/proc/self/gid_map")

    private static func read(_ path: String) -> VisibleIDs? {
        // At most 340 lines of 33 bytes (user_namespaces(7)).
        guard let text = try? Files.read(path, byteCountMax: 65_536) else { return nil }
        return VisibleIDs(map: String(decoding: text, as: UTF8.self))
    }
}
