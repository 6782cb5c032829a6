// How much memory the process may have, before the kernel ends it.

internal import Glibc

/// The kernel's limits of control groups, as files show them.
public struct ControlGroups: Sendable {
    /// Where the hierarchy is mounted.
    let root: String
    /// Which group the process is in, as /proc/self/cgroup says.
    let membership: String

    public init(root: String, membership: String) {
        self.root = root
        self.membership = membership
    }

    /// Those of this process; `nil` where nothing can be found out about them.
    public static var own: ControlGroups? {
        guard let text = try? Files.read("/proc/self/cgroup", byteCountMax: 65_536) else { return nil }
        return ControlGroups(root: "/sys/fs/cgroup", membership: String(decoding: text, as: UTF8.self))
    }

    /// The least of what the group of the process and those above it may have, in bytes; `nil` without a limit.
    /// - Source: cgroups(7), "0::/path"; Documentation/admin-guide/cgroup-v2.rst, memory.max.
    public var memoryByteCountMax: Int? {
        guard let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
        // A group outside of what this namespace shows begins with "..": only the root is visible then.
        var names = line.dropFirst(4).split(separator: "/")
        if names.contains("..") { names = [] }
        var limit: Int?
        for count in 0...names.count {
            let path = ([root[...]] + names.prefix(count) + ["memory.max"]).joined(separator: "/")
            guard let text = try? Files.read(path, byteCountMax: 64),
                let value = Int(String(decoding: text, as: UTF8.self).prefix { $0.isNumber })
            else { continue }
            limit = min(limit ?? value, value)
        }
        return limit
    }
}

extension Process {
    /// What the process may have, in bytes: the machine's memory, or less where its control group is limited.
    public static var memoryByteCountMax: Int {
        // By sysinfo(2): a sandboxed process does not see /proc/meminfo (sysconf(3)).
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let machine = pages > 0 ? Int(pages) * max(1, Int(sysconf(Int32(_SC_PAGESIZE)))) : Int.max
        return min(machine, ControlGroups.own?.memoryByteCountMax ?? machine)
    }
}
