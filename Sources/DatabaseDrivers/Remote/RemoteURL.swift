// URLs of servers, which may hold passwords. They are looked at byte by byte: an accent behind a colon must not hide the
// colon, and with it the password, from us.

/// What all URLs of servers have in common.
enum RemoteURL {
    /// Whether there is a password, behind the user's name or as an option of that name.
    static func hasPassword(_ url: String) -> Bool {
        if let identity = identitySecret(of: url), !identity.isEmpty { return true }
        return options(of: url).contains { decoded(url[$0.key]) == "password" && !$0.value.isEmpty }
    }

    /// The URL with `***` for whatever may be a password. Rather too much is hidden than too little: a password may hold
    /// any character that its owner forgot to encode.
    static func withoutSecrets(_ url: String) -> String {
        // By their places: what is an option's value to one reader belongs to the password for another.
        var secrets = options(of: url).filter { isSecret(decoded(url[$0.key])) }.map(\.value)
        if let identity = identitySecret(of: url) { secrets.append(identity) }
        var shown = ""
        var done = url.startIndex
        for secret in secrets.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if secret.lowerBound >= done { shown += url[done..<secret.lowerBound] + "***" }
            done = max(done, secret.upperBound)
        }
        return shown + url[done...]
    }

    /// What is between the colon behind the user's name and the last "@".
    private static func identitySecret(of url: String) -> Range<String.Index>? {
        guard let at = url.utf8.lastIndex(of: UInt8(ascii: "@")), let colon = colon(of: url, before: at) else {
            return nil
        }
        return url.utf8.index(after: colon)..<at
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

    private typealias Option = (key: Range<String.Index>, value: Range<String.Index>)

    /// What is behind the first question mark: keys and values as they stand there.
    private static func options(of url: String) -> [Option] {
        let bytes = url.utf8
        guard let query = bytes.firstIndex(of: UInt8(ascii: "?")) else { return [] }
        let separators = [UInt8(ascii: "&"), UInt8(ascii: ";"), UInt8(ascii: "?")]
        return bytes[query...].split { separators.contains($0) }.compactMap { item in
            guard let equals = item.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            return (item.startIndex..<equals, bytes.index(after: equals)..<item.endIndex)
        }
    }

    /// A key as the engines' libraries read it, in small letters.
    private static func decoded(_ key: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = key.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let digits = String(rest.prefix(2)), digits.utf8.count == 2,
                let value = UInt8(digits, radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self).lowercased()
    }

    /// Whether an option's value is not to be shown. The files that hold passwords and keys have names that are.
    private static func isSecret(_ key: String) -> Bool {
        if key == "passfile" { return false }
        return ["pass", "pwd", "secret", "token"].contains { key.range(ofText: $0) != nil }
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
