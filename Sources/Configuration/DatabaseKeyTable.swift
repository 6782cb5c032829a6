// The table of the keys of `[databases.NAME]`. Parser, example file, manual page, `--check-config` and tests all read it.

internal import Server

extension DatabaseKey {
    /// Every key of a database, in the order of the example file.
    public static let all: [DatabaseKey] = [
        DatabaseKey(
            "url", .string(\.givenURL, .url),
            "Where it is: sqlite:/absolute/path, ?mode=ro behind it, sqlite::memory:, postgresql://… or mysql://…."),
        DatabaseKey("access", .access(\.access), "What clients may do: \"read_write\" or \"read_only\"."),
    ]

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
