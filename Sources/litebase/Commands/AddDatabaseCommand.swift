// `litebase config add-database`: one drop-in, checked before it is in place; passwords go into files of their own.

import ArgumentParser
internal import LinuxSystem
import LiteBaseClient

struct AddDatabaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add-database",
        abstract: "Add a database to the configuration.",
        usage: """
            litebase config add-database <name> <url> [--access <access>]
                [--users <names>] [--groups <names>]
                [--password-file <file> | --credential <name> | --ask-password]
                [--replace] [--reload] [<options>]
            """,
        discussion: """
            Writes litebase.toml.d/<name>.toml, if the whole configuration is good with
            it. A path stands for a file of SQLite. Passwords are not taken from the
            command line, which every user of the machine can read.

            EXAMPLES:
              sudo litebase config add-database music /var/lib/litebase/music.db --reload
              sudo litebase config add-database shop \\
                  "postgresql://litebase@db.example.org/shop" --ask-password
            """)

    @Argument(help: "The name by which clients open it.")
    var name: String

    @Argument(help: "Where it is, without a password.")
    var url: String

    @Option(help: ArgumentHelp("What clients may do: read_write or read_only.", valueName: "access"))
    var access: DatabaseAccess?

    @Option(help: ArgumentHelp("Only these users may open it, separated by commas.", valueName: "names"))
    var users: NameList?

    @Option(help: ArgumentHelp("Only members of these groups may open it.", valueName: "names"))
    var groups: NameList?

    @Option(
        name: .customLong("password-file"),
        help: ArgumentHelp("The password is in <file>, which the daemon can read.", valueName: "file"),
        completion: .file())
    var passwordFile: String?

    @Option(help: ArgumentHelp("The password is the service's credential <name>.", valueName: "name"))
    var credential: String?

    @Flag(
        name: .customLong("ask-password"),
        help: "Ask for the password, or read it from standard input, and store it.")
    var mustAskPassword = false

    @Flag(help: "Replace what an earlier call has written.")
    var replace = false

    @OptionGroup var files: ConfigurationOptions
    @OptionGroup var reload: ReloadOptions

    enum DatabaseAccess: String, ExpressibleByArgument, CaseIterable {
        case readWrite = "read_write"
        case readOnly = "read_only"
    }

    /// Names with commas between them.
    struct NameList: ExpressibleByArgument {
        let names: [String]

        init?(argument: String) {
            names = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            if names.contains("") { return nil }
        }
    }

    func validate() throws {
        if let problem = DatabaseEntry.problem(name: name) { throw ValidationError(problem) }
        let sources = [passwordFile != nil, credential != nil, mustAskPassword]
        if sources.count(where: \.self) > 1 {
            throw ValidationError("Give only one of --password-file, --credential and --ask-password.")
        }
    }

    func run() throws {
        let place = files.place
        try reload.check(place)
        try checkIsFree(place)
        let entry = entry(place)
        let configuration = try ConfigurationPreview(place, name: "\(name).toml", text: entry.text).check()
        try Self.checkHasNoSecret(location, configuration)
        let output = StandardOutput()
        if mustAskPassword {
            let secret = try PasswordPrompt.read("Password of database \(name): ")
            try place.write(secret: secret + [0x0a], to: place.passwordFile(name))
            try output.print("Written: \(place.passwordFile(name))")
        }
        try place.write(entry.text, to: place.dropIn(name))
        try output.print("Written: \(place.dropIn(name))")
        let advice = ServiceAdvice(name, location, credential: credentialName, place)
        for line in advice.lines { try output.print(line) }
        try output.flush()
        // A reload does not change what the service can reach, so the database would be unreachable.
        let next = advice.needsRestart ? ["Next: \(ServiceAdvice.restart)"] : try reload.lines(place)
        for line in next { try output.print(line) }
        try output.flush()
    }

    private func checkIsFree(_ place: ConfigurationPlace) throws(InputError) {
        let path = place.dropIn(name)
        if (try? Files.status(path)) ?? nil != nil {
            if replace { return try RemoveDatabaseCommand.checkIsOurs(path, name) }
            throw InputError(message: "\(path) is there already; --replace replaces it", status: ExitStatus.usage)
        }
        // The built-in database may be replaced.
        if name == "default" { return }
        let present = try ConfigurationPreview(place, name: "\(name).toml", text: nil).check()
        if DatabaseEntry.isListed(name, in: present) {
            throw InputError(
                message: "another file has a database \"\(name)\"; \"litebase config check\" names the files",
                status: ExitStatus.usage)
        }
    }

    private func entry(_ place: ConfigurationPlace) -> DatabaseEntry {
        var keys: [(name: String, value: DatabaseEntry.Value)] = [("url", .string(location))]
        if let access { keys.append(("access", .string(access.rawValue))) }
        if let users { keys.append(("users", .strings(users.names))) }
        if let groups { keys.append(("groups", .strings(groups.names))) }
        if let passwordFile { keys.append(("password_file", .string(ConfigurationPlace.absolute(passwordFile)))) }
        if let credential { keys.append(("password_credential", .string(credential))) }
        if mustAskPassword {
            keys.append(
                place.isSystem
                    ? ("password_credential", .string("\(name).password"))
                    : ("password_file", .string(place.passwordFile(name))))
        }
        return DatabaseEntry(name: name, keys: keys)
    }

    private var credentialName: String? { mustAskPassword ? "\(name).password" : credential }

    /// The URL; a path is one of a file.
    private var location: String {
        guard url.hasPrefix("/") || url.hasPrefix("./") || url.hasPrefix("../") else { return url }
        var location = "sqlite:"
        for scalar in ConfigurationPlace.absolute(url).unicodeScalars {
            switch scalar {
            case "%": location += "%25"
            case "?": location += "%3f"
            default: location.unicodeScalars.append(scalar)
            }
        }
        return location
    }

    /// The daemon's program hides secrets, so its output differs from the input if there is one.
    static func checkHasNoSecret(_ location: String, _ configuration: String) throws(InputError) {
        let shown = "url = \(DatabaseEntry.quote(location))"
        if configuration.split(separator: "\n").contains(where: { $0 == shown }) { return }
        throw InputError(
            message:
                "the URL holds a password, which the history of the shell and the list of processes have shown by now; "
                + "nothing was changed. Leave it out of the URL, use --ask-password, and change the password",
            status: ExitStatus.usage)
    }
}
