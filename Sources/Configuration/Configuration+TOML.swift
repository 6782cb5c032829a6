// The configuration in force as a TOML file, for `--check-config`.

internal import Server

extension Configuration {
    /// Lines that read back as this configuration, apart from passwords in URLs, which are not shown.
    public var toml: String {
        var text = files.isEmpty ? "# No configuration file was read.\n" : ""
        for file in files { text += "# Read: \(file)\n" }
        var section = ""
        for setting in Setting.all {
            let path = setting.path
            if path.count == 2 && path[0] != section {
                section = path[0]
                text += "\n[\(section)]\n"
            }
            text += line(setting, key: path[path.count - 1])
        }
        for database in databases {
            text += "\n[databases.\(TOMLDocument.quote(database.name))]\n"
            for key in DatabaseKey.all {
                if let value = key.literal(in: database, engines) { text += "\(key.name) = \(value)\n" }
            }
        }
        return text
    }

    private func line(_ setting: Setting, key: String) -> String {
        var shown = settings
        shown.socketPath = socketPath
        guard let value = setting.literal(in: shown) else { return "#\(key) is not set\n" }
        return "\(key) = \(value)\n"
    }
}
