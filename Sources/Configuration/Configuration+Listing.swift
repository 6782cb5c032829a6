// The databases with their settings and where each was set, for programs: `--list-databases`.

internal import DatabaseContract
internal import Server

extension Configuration {
    /// Lines with tabs between their fields. A database is `database`, its name, its engine, where it was named first; each key of
    /// it that is in force follows as `key`, its name, its value as TOML writes it and without passwords, and who has set it.
    public var databaseListing: String {
        var lines: [[String]] = []
        for database in databases {
            let origin = databaseOrigins[database.name] ?? .builtIn
            lines.append(["database", database.name, engines.name(of: database.url) ?? "", "\(origin)"])
            for key in DatabaseKey.all {
                if let (value, origin) = effective(key, of: database) {
                    lines.append(["key", key.name, value, "\(origin)"])
                }
            }
        }
        return lines.map { $0.map(Self.field).joined(separator: "\t") + "\n" }.joined()
    }

    /// The value that is in force, and who has set it; `nil` where nobody has, and there is none by default.
    private func effective(_ key: DatabaseKey, of database: DatabaseConfiguration) -> (String, SettingOrigin)? {
        let given = origins["databases.\(database.name).\(key.name)"]
        if let value = key.literal(in: database, engines) { return (value, given ?? implied(key, of: database)) }
        // What [limits] says of all databases holds for this one.
        guard let setting = Setting.named("limits.\(key.name)"), let value = setting.literal(in: settings) else {
            return nil
        }
        return (value, origins[setting.name] ?? .builtIn)
    }

    /// What was not given with the key itself.
    private func implied(_ key: DatabaseKey, of database: DatabaseConfiguration) -> SettingOrigin {
        key.name == "url" ? databaseOrigins[database.name] ?? .builtIn : .builtIn
    }

    /// A file may have any name; a line and a tab separate what is listed.
    private static func field(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : $0 }))
    }
}
