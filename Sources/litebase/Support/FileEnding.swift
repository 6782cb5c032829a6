// What the ending of a file's name says.

enum FileEnding {
    /// The ending in lower case, without its point; empty without one.
    static func of(_ path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        return name.lastIndex(of: ".").map { name[name.index(after: $0)...].lowercased() } ?? ""
    }

    /// The ending, if it is that of a format in which nothing is exported: whoever gives it does not want CSV.
    static func ofOtherFormat(_ path: String) -> String? {
        let ending = of(path)
        return others.contains(ending) ? ending : nil
    }

    private static let others: Set<String> = [
        // A stream of Arrow is none of its files.
        "feather", "ipc", "parquet", "orc", "avro", "xls", "xlsb", "ods", "html", "xml", "yaml", "db", "sqlite",
        "sqlite3", "gz", "bz2",
        "xz", "zst", "lz4", "zip", "7z", "tar", "tgz",
    ]
}
