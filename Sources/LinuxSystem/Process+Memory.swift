// How much memory the process may use before the kernel ends it.

internal import Glibc

/// The limits of control groups, from the kernel's files.
public struct ControlGroups: Sendable {
    /// Where the hierarchy is mounted.
    let root: String
    /// The group of the process, from /proc/self/cgroup.
    let membership: String

    public init(root: String, membership: String) {
        self.root = root
        self.membership = membership
    }

    /// The groups of this process; `nil` if they cannot be found out.
    public static var own: ControlGroups? {
        guard let text = try? Files.read("/proc/self/cgroup", byteCountMax: 65_536) else { return nil }
        return ControlGroups(root: "/sys/fs/cgroup", membership: String(decoding: text, as: UTF8.self))
    }

    /// The lowest memory limit of the process's group and those above it, in bytes; `nil` without a limit.
    /// - Source: cgroups(7), "0::/path"; Documentation/admin-guide/cgroup-v2.rst, memory.max.
    public var memoryByteCountMax: Int? {
        guard let names else { return nil }
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

    /// How many processes the kernel has killed because of memory in the group above this process's own: its own is
    /// removed when the service ends, and the one above also counts what was below it. `nil` if it is not counted.
    /// - Source: Documentation/admin-guide/cgroup-v2.rst, memory.events, oom_kill.
    public var outOfMemoryKillCount: Int? {
        guard let names else { return nil }
        // The topmost group has no such figures.
        for group in [names.dropLast(), names[...]] where !group.isEmpty {
            let path = ([root[...]] + group + ["memory.events"]).joined(separator: "/")
            guard let text = try? Files.read(path, byteCountMax: 4_096) else { continue }
            let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
            if let line = lines.first(where: { $0.hasPrefix("oom_kill ") }) { return Int(line.dropFirst(9)) }
        }
        return nil
    }

    /// The names of the group and of those above it; `nil` without a unified hierarchy.
    private var names: [Substring]? {
        guard let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
        let names = line.dropFirst(4).split(separator: "/")
        // A group outside of what this namespace shows begins with "..": only the root is visible then.
        return names.contains("..") ? [] : names
    }
}

extension Process {
    /// What the process may use, in bytes: the machine's memory, or less if its control group has a limit.
    public static var memoryByteCountMax: Int {
        // By sysinfo(2): a sandboxed process does not see /proc/meminfo (sysconf(3)).
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let machine = pages > 0 ? Int(pages) * max(1, Int(sysconf(Int32(_SC_PAGESIZE)))) : Int.max
        return min(machine, ControlGroups.own?.memoryByteCountMax ?? machine)
    }
}
