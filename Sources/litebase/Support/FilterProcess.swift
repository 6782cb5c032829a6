// A command that reads what is written to it: a pager, or where .output leads.

internal import Glibc
internal import LinuxSystem

/// A command line of sh(1) with our output as its input.
final class FilterProcess {
    private let process: pid_t
    private var number: Int32

    /// - Parameters:
    ///   - command: what sh(1) runs.
    ///   - additions: variables of its environment that are not set otherwise.
    /// - Throws: `Errno` if it cannot be started.
    init(_ command: String, environment additions: [(name: String, value: String)] = []) throws(Errno) {
        var ends: [Int32] = [-1, -1]
        if pipe(&ends) != 0 { throw Errno.current }
        for number in ends { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
        defer { Glibc.close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Ours is ignored, which it would inherit.
        var usual = sigset_t()
        sigemptyset(&usual)
        sigaddset(&usual, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &usual)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        for (name, value) in additions { setenv(name, value, 0) }
        var words: [UnsafeMutablePointer<CChar>?] = ["sh", "-c", command].map { (word: String) in strdup(word) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let failure = posix_spawn(&process, "/bin/sh", &actions, &attributes, words, environ)
        if failure != 0 {
            Glibc.close(ends[1])
            throw Errno(failure)
        }
        self.process = process
        number = ends[1]
    }

    deinit {
        if number >= 0 { Glibc.close(number) }
    }

    /// Its input, for who writes there by himself.
    var descriptor: Int32 { number }

    /// - Throws: `OutputError`: with `brokenPipe` if it does not read any more, with `interrupted` if Ctrl-C came while it did not.
    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(number, rest.baseAddress, rest.count)
            if count >= 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                continue
            }
            let error = Errno.current
            if error == .interrupted, !Interrupts.isRaised { continue }
            throw OutputError(errno: error)
        }
    }

    /// Ends its input, and waits for its end.
    func finish() {
        guard number >= 0 else { return }
        Glibc.close(number)
        number = -1
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, Errno.current == .interrupted {}
    }
}

/// A file, or a command behind a bar, for the results of `.output`.
final class OutputFile: OutputDestination {
    private let file: OpenFile?
    private let process: FilterProcess?
    /// Whether it is for one result.
    let isForOne: Bool

    private final class OpenFile {
        let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    /// - Parameters:
    ///   - name: of a file, which is emptied, or a command behind a bar.
    ///   - isForOne: whether it is for one result.
    /// - Throws: `Errno`.
    init(_ name: String, isForOne: Bool) throws(Errno) {
        self.isForOne = isForOne
        if name.hasPrefix("|") {
            (file, process) = (nil, try FilterProcess(String(name.dropFirst())))
        } else {
            let flags = O_WRONLY | O_CREAT | O_TRUNC
            (file, process) = (OpenFile(try Files.open(name, flags: flags, mode: 0o666)), nil)
        }
    }

    /// Where it is written, for who writes there by himself.
    var descriptor: Int32 { process?.descriptor ?? file?.descriptor.number ?? -1 }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        if let process { return try process.write(bytes) }
        guard let file else { return }
        do throws(Errno) {
            try Files.writeAll(file.descriptor, bytes)
        } catch {
            throw OutputError(errno: error)
        }
    }

    func endResult() {}

    /// Waits for the end of a command.
    func close() { process?.finish() }
}
