// Who this process is, and whom it can tell apart.

internal import CLinux
internal import Glibc

extension Process {
    /// Makes the process a user's for good, with all of his groups.
    /// - Returns: false when there is no such user.
    /// - Throws: `Errno` when that is not permitted.
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

/// Numbers of users or of groups that a process sees as they are; it sees all others as one and the same, "nobody".
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

    /// Whether a number is seen as it is.
    public func contains(_ id: UInt32) -> Bool { ranges.contains { $0.contains(UInt64(id)) } }

    /// Those of this process; `nil` where nothing can be found out about them.
    public static let users = read("/proc/self/uid_map")
    public static let groups = read("/proc/self/gid_map")

    private static func read(_ path: String) -> VisibleIDs? {
        // At most 340 lines of 33 bytes (user_namespaces(7)).
        guard let text = try? Files.read(path, byteCountMax: 65_536) else { return nil }
        return VisibleIDs(map: String(decoding: text, as: UTF8.self))
    }
}
