// The text of `--help`, made from the table of flags.

public import LinuxSystem

extension CommandLineOptions {
    /// What `--help` prints.
    public static func helpText(_ paths: StandardPaths = .current) -> String {
        let heads = Flag.all.map { "--\($0.name)" + ($0.argument.map { " \($0)" } ?? "") }
        let width = heads.map(\.utf8.count).max() ?? 0
        var text = "Usage: litebased [flags]\n\nServes local databases on a Unix socket.\n\n"
        for (flag, head) in zip(Flag.all, heads) {
            text += "  \(head)\(String(repeating: " ", count: width - head.utf8.count + 2))\(flag.help)\n"
        }
        return text + """

            -flag=value, -flag value, --flag=value and --flag value mean the same. Flags override files.
            Configuration: \(paths.configurationDirectory)/litebase.toml, then litebase.toml.d/*.toml there.
            Socket without flags: \(paths.socketPath ?? "none; --socket must be given")
            More: litebased(8), litebase.toml(5)

            """
    }
}
