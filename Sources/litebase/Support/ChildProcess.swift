// Another program, run to its end.

internal import Glibc
internal import LinuxSystem

/// How a program ended, and what it wrote.
struct ChildProcess {
    /// Exit status; 128 plus the signal's number if it was killed.
    let status: Int32
    let output: String
    let errors: String

    private static let outputByteCountMax = 4 << 20

    /// Runs a program without input.
    ///
    /// - Parameters:
    ///   - program: path, or a name to be found in `$PATH`.
    ///   - arguments: without the program's name.
    /// - Returns: its end.
    /// - Throws: `Errno` if it cannot be started, or writes more than 4 MiB.
    static func run(_ program: String, _ arguments: [String]) throws(Errno) -> ChildProcess {
        // Files, not pipes: the program may write both in any order without waiting for us.
        let output = try temporaryFile()
        let errors = try temporaryFile()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output.number, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, errors.number, STDERR_FILENO)
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let failure = posix_spawnp(&pid, program, &actions, nil, words, environ)
        if failure != 0 { throw Errno(failure) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            let error = Errno.current
            if error != .interrupted { throw error }
        }
        let signal = status & 0x7f
        return ChildProcess(
            status: signal == 0 ? (status >> 8) & 0xff : 128 + signal, output: try text(output),
            errors: try text(errors))
    }

    /// A file without a name.
    static func temporaryFile() throws(Errno) -> OwnedDescriptor {
        var template = Array("/tmp/litebase-XXXXXX".utf8CString)
        let number = mkstemp(&template)
        if number < 0 { throw Errno.current }
        unlink(template)
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        return OwnedDescriptor(number)
    }

    private static func text(_ file: borrowing OwnedDescriptor) throws(Errno) -> String {
        lseek(file.number, 0, SEEK_SET)
        return String(decoding: try Files.read(file, byteCountMax: outputByteCountMax), as: UTF8.self)
    }
}
