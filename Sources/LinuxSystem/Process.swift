// Facts about this process and its environment: variables, ids, users and groups.

internal import CLinux
internal import Glibc
internal import Synchronization

/// This process and its environment.
public enum Process {
    public static var pid: Int32 { getpid() }

    /// Arguments of the command line, without the program's name; works without /proc, too.
    public static var arguments: [String] {
        (1..<max(1, clinux_argument_count())).compactMap { index in clinux_argument(index).map { String(cString: $0) } }
    }
    public static var effectiveUID: UInt32 { geteuid() }

    /// Value of an environment variable; `nil` when unset or empty.
    /// - Thread: any, as long as nobody changes the environment (getenv(3)).
    public static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// Home directory: `$HOME`, else the one of the user database.
    public static var homeDirectory: String? {
        if let home = environment("HOME") { return home }
        guard let entry = getpwuid(geteuid()), let home = entry.pointee.pw_dir else { return nil }
        return String(cString: home)
    }

    /// Name of a user, `nil` where the user database knows none (getpwuid_r(3)).
    public static func userName(uid: UInt32) -> String? {
        var entry = passwd()
        var result: UnsafeMutablePointer<passwd>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            guard let base = buffer.baseAddress,
                getpwuid_r(uid, &entry, base, buffer.count, &result) == 0, result != nil, let name = entry.pw_name
            else { return nil }
            return String(cString: name)
        }
    }

    /// Cores that this process may use, CPUAffinity= and the like included (sched_getaffinity(2)).
    public static var coreCount: Int { Int(clinux_core_count()) }

    /// The most arenas that the heap has; threads beyond them share.
    public static func limitMemoryArenas(_ count: Int32) { clinux_limit_malloc_arenas(count) }

    /// Ignores SIGPIPE of peers that go away, SIGXFSZ of files that may not grow (write(2) then fails), and signals without a
    /// meaning here (signal(7)).
    public static func ignoreStraySignals() {
        for number in [SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2] { signal(number, SIG_IGN) }
    }

    /// Sets the bits that new files lose (umask(2)).
    public static func setFileModeMask(_ mask: UInt32) {
        inheritedMask.store(umask(mask), ordering: .relaxed)
    }

    /// Bits that new files lost before `setFileModeMask`.
    public static var inheritedFileModeMask: UInt32 { inheritedMask.load(ordering: .relaxed) }
    private static let inheritedMask = Atomic<UInt32>(0o022)

    /// Runs `body` while new files lose these bits.
    /// - Thread: only before any other makes files.
    public static func withFileModeMask<Result, Failure: Error>(
        _ mask: UInt32, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let former = umask(mask)
        defer { umask(former) }
        return try body()
    }

    /// Raises the soft limit of open files to the hard one (getrlimit(2)).
    /// - Returns: the limit now in force.
    @discardableResult
    public static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            _ = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// Ends the process with a status of sysexits(3) or systemd.exec(5).
    public static func exit(_ status: Int32) -> Never { Glibc.exit(status) }

    /// Ends the process without the work of exit(3): stdio is not flushed, and libraries do not clean up.
    ///
    /// For a process with other threads: OpenSSL's cleanup frees locks that they may be taking at that moment, while
    /// closing a connection (_exit(2)).
    public static func exitAtOnce(_ status: Int32) -> Never { clinux_exit_at_once(status) }

    public static func isTerminal(_ number: Int32) -> Bool { isatty(number) == 1 }
}

extension Process {
    /// Blocks the calling thread; never on a loop (usleep(3)).
    public static func sleep(microseconds: UInt32) {
        usleep(microseconds)
    }
}
