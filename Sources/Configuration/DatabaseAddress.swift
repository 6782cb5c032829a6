// Names and URLs of databases, checked before the server gets them. The driver finds out where a path leads.

internal import DatabaseContract

/// Rules for names and URLs of databases.
enum DatabaseAddress {
    static let nameByteCountMax = 64

    /// The error of a name; `nil` for a valid one.
    static func problem(name: String, _ engines: EngineRegistry) -> String? {
        let isGood = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isGood, !name.isEmpty, name.utf8.count <= nameByteCountMax else {
            let shown = engines.withoutSecrets(name)
            return "\"\(shown)\" is no name for a database; use 1 to \(nameByteCountMax) of A-Z a-z 0-9 _ - ."
        }
        return nil
    }

    /// The error of a URL; `nil` for a valid one. The driver decides, so it is asked.
    static func problem(url: String, _ engines: EngineRegistry) -> String? {
        do throws(DriverError) {
            guard let path = try engines.location(url: url).filePath,
                path.containsControlCharacter
            else { return nil }
            return "the path contains a control character"
        } catch {
            let details = error.details
            let cause = details.message.hasSuffix(".") ? String(details.message.dropLast()) : details.message
            // Two sentences become one.
            return cause + (details.hint.map { "; " + $0.prefix(1).lowercased() + $0.dropFirst() } ?? "")
        }
    }

    /// The URL of a file.
    static func url(file path: String) -> String {
        var url = "sqlite:"
        for character in path.unicodeScalars {
            switch character {
            case "%": url += "%25"
            case "?": url += "%3f"
            default: url.unicodeScalars.append(character)
            }
        }
        return url
    }

    /// A URL as given on the command line, where a path is also allowed, including `?mode=ro`.
    ///
    /// - Parameters:
    ///   - argument: URL or path.
    ///   - directory: base of relative paths.
    /// - Returns: a URL, which may still be invalid.
    static func url(argument: String, directory: String) -> String {
        let path = argument.hasPrefix("sqlite:") ? String(argument.dropFirst("sqlite:".count)) : argument
        if path == ":memory:" || path.hasPrefix(":memory:?") { return "sqlite:" + path }
        if path == argument && path.prefix(while: { $0.isLetter }).count > 1 && isURL(path) { return argument }
        // Other programs write sqlite:///path with an empty authority (RFC 3986, section 3).
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
