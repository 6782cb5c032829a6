// URLs of servers, which may hold passwords. They are looked at byte by byte: an accent behind a colon must not hide the
// colon, and with it the password, from us.

/// What all URLs of servers have in common.
enum RemoteURL {
    /// Whether there is a password, behind the user's name or as an option of that name.
    static func hasPassword(_ url: String) -> Bool {
        let bytes = url.utf8
        if let at = bytes.lastIndex(of: UInt8(ascii: "@")), let colon = colon(of: url, before: at),
            bytes.index(after: colon) < at
        {
            return true
        }
        guard let query = bytes.firstIndex(of: UInt8(ascii: "?")) else { return false }
        return bytes[bytes.index(after: query)...].split(separator: UInt8(ascii: "&")).contains { item in
            let item = String(item)?.lowercased() ?? ""
            return item.hasPrefix("password=") && item.utf8.count > "password=".utf8.count
        }
    }

    /// The URL with `***` for whatever may be a password. Rather too much is hidden than too little: a password may hold
    /// any character that its owner forgot to encode.
    static func withoutSecrets(_ url: String) -> String {
        guard let at = url.utf8.lastIndex(of: UInt8(ascii: "@")) else { return withoutQuerySecrets(url) }
        let shown = withoutQuerySecrets(String(url[at...]))
        guard let colon = colon(of: url, before: at) else { return url[..<at] + shown }
        return url[..<colon] + ":***" + shown
    }

    /// The colon behind the user's name: the first one before the "@" that does not belong to the scheme.
    private static func colon(of url: String, before at: String.Index) -> String.Index? {
        let head = url.utf8[..<at]
        var start = head.startIndex
        if let slashes = url[..<at].range(ofText: "//") {
            start = slashes.upperBound
        } else if RemoteLocation.isMeant(by: url), let colon = head.firstIndex(of: UInt8(ascii: ":")) {
            start = head.index(after: colon)
        }
        return head[start...].firstIndex(of: UInt8(ascii: ":"))
    }

    private static func withoutQuerySecrets(_ text: String) -> String {
        guard let query = text.utf8.firstIndex(of: UInt8(ascii: "?")) else { return text }
        let items = text.utf8[query...].dropFirst().split(
            separator: UInt8(ascii: "&"), omittingEmptySubsequences: false)
        let shown = items.map { item -> String in
            guard let equals = item.firstIndex(of: UInt8(ascii: "=")),
                text[item.startIndex..<equals].lowercased().hasSuffix("password")
            else { return String(text[item.startIndex..<item.endIndex]) }
            return text[item.startIndex..<equals] + "=***"
        }
        return text[..<query] + "?" + shown.joined(separator: "&")
    }
}

extension String {
    /// The text with every occurrence of `secret` replaced by `***`.
    func hiding(_ secret: String) -> String {
        let (bytes, wanted) = (Array(utf8), Array(secret.utf8))
        guard let first = wanted.first, bytes.count >= wanted.count else { return self }
        var shown: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == first, bytes[index...].starts(with: wanted) {
                shown += Array("***".utf8)
                index += wanted.count
            } else {
                shown.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: shown, as: UTF8.self)
    }
}
