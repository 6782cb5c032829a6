// `litebase config`: edits the configuration files. ConfiguredDatabaseCommands.swift shows what is in them.

import ArgumentParser
internal import ByteBuffers
internal import LinuxSystem
import LiteBaseClient

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Add, remove and test databases, and check the configuration.",
        discussion: """
            Works on the files in /etc/litebase for root, on one's own in
            ~/.config/litebase for others. No daemon is needed.
            """,
        subcommands: [
            ListConfigurationCommand.self, ShowConfigurationCommand.self, TestConfigurationCommand.self,
            AddDatabaseCommand.self, RemoveDatabaseCommand.self, CheckConfigurationCommand.self,
        ])
}

/// The configuration to edit, and whether the daemon reloads it.
struct ConfigurationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Work on <file> and <file>.d instead of the usual files.", valueName: "file"),
        completion: .file())
    var config: String?

    var place: ConfigurationPlace { ConfigurationPlace(file: config) }
}

/// Telling the daemon, after a file was changed.
struct ReloadOptions: ParsableArguments {
    @Flag(name: .customLong("reload"), help: "Make the daemon read it now.")
    var mustReload = false

    @OptionGroup var connection: ConnectionOptions

    /// Before any change: the daemon that would reload must be one that reads these files.
    func check(_ place: ConfigurationPlace) throws(InputError) {
        if mustReload { try Self.check(place, connection) }
    }

    static func check(_ place: ConfigurationPlace, _ connection: ConnectionOptions) throws(InputError) {
        guard leadsToSystem(place, connection) else { return }
        throw InputError(
            message: "nothing was changed: no daemon of your own runs, and the system's does not read your files. "
                + "For the system's, use sudo; " + ownDaemon,
            status: ExitStatus.unavailable)
    }

    private static let ownDaemon = "for one of your own: systemctl --user enable --now litebase.socket"

    /// Whether a user without a daemon of their own would reach the system's.
    private static func leadsToSystem(_ place: ConfigurationPlace, _ connection: ConnectionOptions) -> Bool {
        guard place.isUsersOwn, connection.socket == nil, connection.port == nil,
            Process.environment("LITEBASE_SOCKET") == nil
        else { return false }
        return (try? connection.endpoint()) == .unix(path: "/run/litebase/litebase.sock")
    }

    /// Reloads if requested.
    /// - Returns: lines for the user: what happened, or what remains to be done.
    func lines(_ place: ConfigurationPlace) throws -> [String] {
        guard mustReload else {
            if Self.leadsToSystem(place, connection) {
                return ["The system's daemon does not read this file: for that one, use sudo; \(Self.ownDaemon)"]
            }
            return ["Next: \(place.isSystem ? "systemctl reload litebase" : "litebase reload")"]
        }
        return ReloadCommand.lines(try ReloadCommand.reload(connection))
    }
}

struct CheckConfigurationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Print the configuration as it would be in force, or its errors.",
        usage: "litebase config check [--config <file>]",
        discussion: "The same as litebased --check-config.")

    @OptionGroup var files: ConfigurationOptions

    func run() throws {
        let result = try DaemonProgram.run(["--check-config"] + DaemonProgram.flags(files.config))
        guard result.status == 0 else {
            throw InputError(
                message: "the configuration has errors:\n" + DaemonProgram.messages(result.errors),
                status: result.status)
        }
        let output = StandardOutput()
        output.buffer.append(result.output)
        try output.flush()
        DaemonProgram.passOn(result.errors)
    }
}

struct RemoveDatabaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove-database",
        abstract: "Remove a database that add-database has added.",
        usage: "litebase config remove-database <name> [--reload] [<options>]",
        discussion: "The database itself is not touched; clients cannot open it any more.")

    @Argument(help: "The database's name.")
    var name: String

    @OptionGroup var files: ConfigurationOptions
    @OptionGroup var reload: ReloadOptions

    func validate() throws {
        if let problem = DatabaseEntry.problem(name: name) { throw ValidationError(problem) }
    }

    func run() throws {
        let place = files.place
        let path = place.dropIn(name)
        try reload.check(place)
        try Self.checkIsOurs(path, name)
        _ = try ConfigurationPreview(place, name: "\(name).toml", text: nil).check()
        try place.remove(path)
        let output = StandardOutput()
        try output.print("Removed: \(path)")
        let secret = place.passwordFile(name)
        if (try? Files.status(secret))??.kind == .regular {
            // A credential whose file is missing keeps the service from starting (systemd.exec(5), status 243).
            let first = place.isSystem ? "a LoadCredential= of litebase.service that names it, then " : ""
            try output.print("Its password is still in \(secret); remove \(first)that too, if nothing else uses it.")
        }
        // What was done is said also where the daemon does not answer.
        try output.flush()
        for line in try reload.lines(place) { try output.print(line) }
        try output.flush()
    }

    /// Files of people's own may hold more than this database.
    static func checkIsOurs(_ path: String, _ name: String) throws(InputError) {
        guard let text = try ConfigurationPlace.read(path) else {
            throw InputError(
                message: "there is no \(path); \"litebase config check\" names the files that are read",
                status: ExitStatus.noInput)
        }
        guard text.hasPrefix(DatabaseEntry.mark) else {
            throw InputError(
                message: "\(path) was not written by add-database, and may hold more; edit it by hand",
                status: ExitStatus.usage)
        }
    }
}
