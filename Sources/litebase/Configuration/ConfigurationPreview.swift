// A configuration with one file changed, which the daemon's program checks before anything is written.

internal import Glibc
internal import LinuxSystem

/// A directory of links to the files of a configuration, but for one.
struct ConfigurationPreview: ~Copyable {
    private let directory: String
    private let place: ConfigurationPlace

    /// - Parameters:
    ///   - place: the configuration.
    ///   - name: a file in its directory of drop-ins.
    ///   - text: the new content of that file; `nil` if it would be removed.
    /// - Throws: `InputError` if the files cannot be read.
    init(_ place: ConfigurationPlace, name: String, text: String?) throws(InputError) {
        let made = try Self.makeDirectory()
        do throws(Errno) {
            try Self.fill(made, place, name, text)
        } catch {
            Self.remove(made)
            throw InputError(
                message: "the configuration cannot be looked at: \(error)",
                status: error == .permissionDenied ? ExitStatus.noPermission : ExitStatus.ioError)
        }
        directory = made
        self.place = place
    }

    private static func fill(
        _ directory: String, _ place: ConfigurationPlace, _ name: String, _ text: String?
    ) throws(Errno) {
        try Files.makeDirectories(directory + "/litebase.toml.d")
        if !place.mustExist, try Files.status(place.mainFile) == nil {
            try Files.replace(directory + "/litebase.toml", with: [], mode: 0o600)
        } else {
            try link(place.mainFile, directory + "/litebase.toml")
        }
        for file in try Files.names(in: place.dropInDirectory)
        where file != name && file.hasSuffix(".toml") && !file.hasPrefix(".") {
            try link("\(place.dropInDirectory)/\(file)", "\(directory)/litebase.toml.d/\(file)")
        }
        if let text {
            try Files.replace("\(directory)/litebase.toml.d/\(name)", with: Array(text.utf8), mode: 0o600)
        }
    }

    deinit { Self.remove(directory) }

    /// Runs the daemon's program.
    /// - Returns: the resulting configuration, with passwords of URLs hidden.
    /// - Throws: `InputError` with the program's messages, in terms of the final file names.
    func check() throws(InputError) -> String {
        let result = try DaemonProgram.run(["--check-config", "--config", directory + "/litebase.toml"])
        // It shows a configuration that is right, whatever it then finds missing: a password file is written last.
        if result.status == 0 {
            DaemonProgram.passOn(result.errors)
            return result.output
        }
        if !result.output.isEmpty { return result.output }
        let parts = result.errors.split(separator: directory + "/litebase.toml", omittingEmptySubsequences: false)
        throw InputError(
            message: "nothing was changed; the configuration would have errors:\n"
                + DaemonProgram.messages(parts.joined(separator: place.mainFile)),
            status: ExitStatus.configuration)
    }

    /// In memory where that is possible: the text may hold a secret.
    private static func makeDirectory() throws(InputError) -> String {
        let parent = Process.effectiveUID == 0 ? "/run" : Process.environment("XDG_RUNTIME_DIR") ?? "/tmp"
        for parent in [parent, "/tmp"] {
            var template = Array("\(parent)/litebase-config-XXXXXX".utf8CString)
            if let made = mkdtemp(&template) { return String(cString: made) }
        }
        throw InputError(message: "no temporary directory can be made: \(Errno.current)", status: ExitStatus.ioError)
    }

    private static func link(_ target: String, _ path: String) throws(Errno) {
        if symlink(target, path) != 0 { throw Errno.current }
    }

    private static func remove(_ directory: String) {
        for place in [directory + "/litebase.toml.d", directory] {
            for name in (try? Files.names(in: place)) ?? [] { unlink("\(place)/\(name)") }
            rmdir(place)
        }
    }
}

/// `litebased`, beside this program or in `$PATH`.
enum DaemonProgram {
    /// The flags for a main file; `nil` for the usual one.
    static func flags(_ config: String?) -> [String] { config.map { ["--config", $0] } ?? [] }

    static func run(_ arguments: [String]) throws(InputError) -> ChildProcess {
        do throws(Errno) {
            return try ChildProcess.run(path, arguments)
        } catch {
            throw InputError(message: "litebased cannot be run: \(error)", status: ExitStatus.software)
        }
    }

    /// Its log messages, without time and level.
    static func messages(_ log: String) -> String {
        log.split(separator: "\n").map { line in
            line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true).last ?? line
        }.joined(separator: "\n")
    }

    /// Shows its messages about a valid configuration.
    static func passOn(_ log: String) {
        for line in messages(log).split(separator: "\n") { Terminal.complain("litebase: warning: \(line)") }
    }

    private static var path: String {
        guard let own = realpath("/proc/self/exe", nil) else { return "litebased" }
        defer { free(own) }
        let beside = ConfigurationPlace.directory(of: String(cString: own)) + "/litebased"
        return access(beside, X_OK) == 0 ? beside : "litebased"
    }
}
