import ArgumentParser
import LinuxSystem
import Testing

@testable import litebase

/// What `--help` prints is part of the interface: a change must be seen.
///
/// To accept one: `LITEBASE_UPDATE_SNAPSHOTS=1 swift test --filter HelpTests`.
@Suite struct HelpTests {
    private static let directory =
        #filePath.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/Snapshots"

    static let names = [
        "litebase", "ping", "query", "export", "import", "copy", "move", "backup", "restore", "shell", "run", "history",
        "databases",
        "catalog", "status",
        "watch", "reload",
        "config",
        "list", "show", "test", "add-database", "remove-database", "check", "top", "cancel", "bench", "completions",
    ]

    private static func help(_ name: String, columns: Int) -> String {
        switch name {
        case "ping": LiteBaseCommand.helpMessage(for: PingCommand.self, columns: columns)
        case "query": LiteBaseCommand.helpMessage(for: QueryCommand.self, columns: columns)
        case "copy": LiteBaseCommand.helpMessage(for: CopyCommand.self, columns: columns)
        case "move": LiteBaseCommand.helpMessage(for: MoveCommand.self, columns: columns)
        case "import": LiteBaseCommand.helpMessage(for: ImportCommand.self, columns: columns)
        case "export": LiteBaseCommand.helpMessage(for: ExportCommand.self, columns: columns)
        case "backup": LiteBaseCommand.helpMessage(for: BackupCommand.self, columns: columns)
        case "restore": LiteBaseCommand.helpMessage(for: RestoreCommand.self, columns: columns)
        case "shell": LiteBaseCommand.helpMessage(for: ShellCommand.self, columns: columns)
        case "run": LiteBaseCommand.helpMessage(for: RunCommand.self, columns: columns)
        case "history": LiteBaseCommand.helpMessage(for: HistoryCommand.self, columns: columns)
        case "databases": LiteBaseCommand.helpMessage(for: DatabasesCommand.self, columns: columns)
        case "catalog": LiteBaseCommand.helpMessage(for: CatalogCommand.self, columns: columns)
        case "status": LiteBaseCommand.helpMessage(for: StatusCommand.self, columns: columns)
        case "watch": LiteBaseCommand.helpMessage(for: WatchCommand.self, columns: columns)
        case "reload": LiteBaseCommand.helpMessage(for: ReloadCommand.self, columns: columns)
        case "config": LiteBaseCommand.helpMessage(for: ConfigCommand.self, columns: columns)
        case "list": LiteBaseCommand.helpMessage(for: ListConfigurationCommand.self, columns: columns)
        case "show": LiteBaseCommand.helpMessage(for: ShowConfigurationCommand.self, columns: columns)
        case "test": LiteBaseCommand.helpMessage(for: TestConfigurationCommand.self, columns: columns)
        case "add-database": LiteBaseCommand.helpMessage(for: AddDatabaseCommand.self, columns: columns)
        case "remove-database": LiteBaseCommand.helpMessage(for: RemoveDatabaseCommand.self, columns: columns)
        case "check": LiteBaseCommand.helpMessage(for: CheckConfigurationCommand.self, columns: columns)
        case "top": LiteBaseCommand.helpMessage(for: TopCommand.self, columns: columns)
        case "cancel": LiteBaseCommand.helpMessage(for: CancelCommand.self, columns: columns)
        case "bench": LiteBaseCommand.helpMessage(for: BenchCommand.self, columns: columns)
        case "completions": LiteBaseCommand.helpMessage(for: CompletionsCommand.self, columns: columns)
        default: LiteBaseCommand.helpMessage(columns: columns)
        }
    }

    @Test(arguments: names)
    func helpIsAsItWas(name: String) throws {
        let help = Self.help(name, columns: 80) + "\n"
        let path = "\(Self.directory)/\(name).txt"
        if Process.environment("LITEBASE_UPDATE_SNAPSHOTS") != nil { try Self.write(help, path) }
        let expected = String(decoding: try Files.read(path, byteCountMax: 65536), as: UTF8.self)
        #expect(help == expected)
    }

    private static func write(_ text: String, _ path: String) throws {
        try? Files.unlink(path)
        // O_WRONLY | O_CREAT
        let file = try Files.open(path, flags: 0o101, mode: 0o644)
        var text = text
        let result: Result<Void, Errno> = text.withUTF8 { bytes in
            do throws(Errno) {
                return .success(try Files.writeAll(file, UnsafeRawBufferPointer(bytes)))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    @Test(arguments: names)
    func helpFitsATerminal(name: String) {
        for line in Self.help(name, columns: 80).split(separator: "\n") where line.count > 80 {
            Issue.record("\(line)")
        }
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionsNameTheCommands(shell: String) throws {
        let kind = try #require(CompletionShell(rawValue: shell))
        let script = LiteBaseCommand.completionScript(for: kind)
        for name in Self.names { #expect(script.contains(name)) }
    }
}
