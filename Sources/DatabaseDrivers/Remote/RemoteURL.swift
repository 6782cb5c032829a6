// URLs of servers, which may hold passwords.

/// What all URLs of servers have in common.
enum RemoteURL {
    /// Whether there is a password, behind the user's name or as an option of that name.
    static func hasPassword(_ url: String) -> Bool {
        let authority = url.range(ofText: "//")?.upperBound ?? url.startIndex
        if let at = url.lastIndex(of: "@"), at > authority, let colon = url[authority..<at].firstIndex(of: ":"),
            url.index(after: colon) < at
        {
            return true
        }
        guard let query = url.firstIndex(of: "?") else { return false }
        return url[url.index(after: query)...].split(separator: "&").contains { item in
            item.lowercased().hasPrefix("password=") && item.utf8.count > "password=".utf8.count
        }
    }

    /// The URL with `***` for whatever may be a password. Rather too much is hidden than too little: a password may hold
    /// any character that its owner forgot to encode.
    static func withoutSecrets(_ url: String) -> String {
        guard let authority = url.range(ofText: "//")?.upperBound else { return withoutQuerySecrets(url) }
        guard let at = url.lastIndex(of: "@"), at >= authority else { return withoutQuerySecrets(url) }
        let shown = withoutQuerySecrets(String(url[at...]))
        guard let colon = url[authority..<at].firstIndex(of: ":") else { return url[..<at] + shown }
        return url[...colon] + "***" + shown
    }

    private static func withoutQuerySecrets(_ text: String) -> String {
        guard let query = text.firstIndex(of: "?") else { return text }
        let items = text[text.index(after: query)...].split(separator: "&", omittingEmptySubsequences: false)
        let shown = items.map { item -> Substring in
            guard let equals = item.firstIndex(of: "="), item[..<equals].lowercased().hasSuffix("password") else {
                return item
            }
            return item[...equals] + "***"
        }
        return text[...query] + shown.joined(separator: "&")
    }
}

extension String {
    /// The first place of `text`.
    func range(ofText text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }

    /// The text with every occurrence of `secret` replaced by `***`.
    func hiding(_ secret: String) -> String {
        if secret.isEmpty { return self }
        var rest = self[...]
        var shown = ""
        while let range = String(rest).range(ofText: secret) {
            let text = String(rest)
            shown += text[..<range.lowerBound] + "***"
            rest = Substring(text[range.upperBound...])
        }
        return shown + rest
    }
}
