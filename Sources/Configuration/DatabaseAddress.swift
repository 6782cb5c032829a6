// Names and URLs of databases, checked before the server sees them. What a path leads to is the driver's to find out.

/// Rules for names and URLs of databases.
enum DatabaseAddress {
    static let nameByteCountMax = 64

    /// What is wrong with a name; `nil` for a good one.
    static func problem(name: String) -> String? {
        let isGood = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isGood, !name.isEmpty, name.utf8.count <= nameByteCountMax else {
            return "\"\(name)\" is no name for a database; use 1 to \(nameByteCountMax) of A-Z a-z 0-9 _ - ."
        }
        return nil
    }

    /// What is wrong with a URL; `nil` for a good one.
    static func problem(url: String) -> String? {
        guard url.hasPrefix("sqlite:") else {
            let scheme = url.prefix { $0 != ":" }
            guard scheme.utf8.count < url.utf8.count else {
                return "\"\(url)\" is no URL; write sqlite:/absolute/path"
            }
            return "databases of type \"\(scheme)\" are not supported; write sqlite:/absolute/path"
        }
        if url.containsControlCharacter { return "the URL contains a control character" }
        let rest = url.dropFirst("sqlite:".count)
        let path = rest.prefix { $0 != "?" }
        if let problem = problem(query: rest.dropFirst(path.count + 1)) { return problem }
        if path == ":memory:" { return nil }
        guard path.hasPrefix("/"), !path.hasSuffix("/") else {
            return "\"\(url)\" names no file by its absolute path; write sqlite:/absolute/path or sqlite::memory:"
        }
        return nil
    }

    private static func problem(query: Substring) -> String? {
        for item in query.split(separator: "&", omittingEmptySubsequences: true) where !queries.contains(item) {
            return "\"\(item)\" is unknown in a sqlite: URL; only mode=ro and mode=rw are known"
        }
        return nil
    }
    private static let queries: [Substring] = ["mode=ro", "mode=rw"]

    /// A URL as it was given on the command line, where a path may stand for it.
    /// - Parameter directory: what a relative path starts from.
    static func url(argument: String, directory: String) -> String {
        let path = argument.hasPrefix("sqlite:") ? String(argument.dropFirst("sqlite:".count)) : argument
        if path == ":memory:" || path.hasPrefix(":memory:?") { return "sqlite:" + path }
        if path == argument && path.prefix(while: { $0.isLetter }).count > 1 && isURL(path) { return argument }
        // sqlite:///path is what other programs write for an empty authority (RFC 3986, section 3).
        if path.hasPrefix("///") { return "sqlite:" + path.dropFirst(2) }
        if path.isEmpty || path.hasPrefix("/") { return "sqlite:" + path }
        return "sqlite:" + (directory == "/" ? "/" : directory + "/") + path
    }

    // A scheme and a colon before any slash; "./a:b" is a path.
    private static func isURL(_ text: String) -> Bool {
        let scheme = text.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "+") }
        return text.dropFirst(scheme.count).first == ":"
    }
}
