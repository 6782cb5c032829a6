// The table of the keys of `[databases.NAME]`. Parser, example file, manual page, `--check-config` and tests all read it.

internal import Server

extension DatabaseKey {
    /// Every key of a database, in the order of the example file.
    public static let all: [DatabaseKey] =
        [
            DatabaseKey(
                "url", .string(\.givenURL, .url),
                "Where it is: sqlite:/absolute/path, ?mode=ro behind it, sqlite::memory:, postgresql://…, mysql://… or redis://…."
            ),
            DatabaseKey(
                "password_file", .string(\.passwordFile, .absolutePath),
                "File with the password of a database on a server, read at each connection."),
            DatabaseKey(
                "password_credential", .string(\.passwordCredential, .credentialName),
                "The same as a credential of the service, such as one of LoadCredential=."),
            DatabaseKey(
                "access", .access(\.access), "The most that anybody may do: \"read_write\" or \"read_only\"."),
            DatabaseKey(
                "read_only_scripts", .boolean(\.readOnlyScripts),
                "Of a Redis server: whether those who may only read may run scripts, which can keep all others waiting."
            ),
            DatabaseKey(
                "double_quoted_strings", .boolean(\.takesDoubleQuotedStrings),
                "Of SQLite: whether clients may write strings in double quotes, as with sqlite3; false: only names."),
            DatabaseKey("users", .principals(\.rules.users, .users), "Who may open it; no list at all: everybody."),
            DatabaseKey("groups", .principals(\.rules.groups, .groups), "Groups whose members may open it."),
            DatabaseKey(
                "read_only_users", .principals(\.rules.readOnlyUsers, .users), "Who may open it for reading only."),
            DatabaseKey(
                "read_only_groups", .principals(\.rules.readOnlyGroups, .groups),
                "Groups whose members may open it for reading only."),
            DatabaseKey(
                "read_only_url", .string(\.readOnlyURL, .url),
                "Of a database on a server: the URL with which those are served who may only read."),
            DatabaseKey(
                "read_only_password_file", .string(\.readOnlyPasswordFile, .absolutePath),
                "File with the password of that login."),
            DatabaseKey(
                "read_only_password_credential", .string(\.readOnlyPasswordCredential, .credentialName),
                "The same as a credential of the service."),
        ] + limits

    /// Limits of [limits] that a database may have of its own.
    private static let limits: [DatabaseKey] = [
        limit("readers_per_database_max", \.limits.readersMax),
        limit("statement_cache_max", \.limits.statementCacheCountMax),
        limit("page_cache_bytes_per_database_max", \.limits.pageCacheByteCountMax),
        limit("pool_connections_max", \.limits.poolConnectionCountMax),
        limit("pool_wait_ms_max", \.limits.poolWaitMillisecondsMax),
        limit("pool_idle_ms_max", \.limits.poolIdleMillisecondsMax),
        limit("pool_lifetime_ms_max", \.limits.poolLifetimeMillisecondsMax),
        limit("connect_ms_max", \.limits.connectMillisecondsMax),
        limit("statement_time_ms_max", \.limits.statementTimeMillisecondsMax),
        limit("busy_time_ms_max", \.limits.busyTimeMillisecondsMax),
    ]

    private static func limit(_ name: String, _ place: Place<Int?>) -> DatabaseKey {
        let (range, help) = setting(name)
        return DatabaseKey(name, .integer(place, range), help)
    }

    private static func limit(_ name: String, _ place: Place<Int64?>) -> DatabaseKey {
        let (range, help) = setting(name)
        return DatabaseKey(name, .milliseconds(place, range), help)
    }

    private static func setting(_ name: String) -> (ClosedRange<Int>, String) {
        guard let setting = Setting.named("limits.\(name)"), let range = setting.range else {
            preconditionFailure("limits.\(name) is no limit")
        }
        return (range, setting.help)
    }

    /// The row with this name.
    public static func named(_ name: String) -> DatabaseKey? { all.first { $0.name == name } }
}

extension DatabaseConfiguration {
    /// The URL; `nil` as long as none was given.
    var givenURL: String? {
        get { url.isEmpty ? nil : url }
        set { url = newValue ?? "" }
    }
}
