// URLs of servers, which may contain passwords. They are searched byte by byte: a combining accent after a colon must
// not hide the colon, and with it the password.

/// What all URLs of servers have in common.
package enum RemoteURL {
    // `hasScheme`: the text before the first colon is known to be a scheme of a server's URL.

    /// Whether there is a password to log in with, after the user name or as an option. One for others, such as the Sentinels
    /// (`sentinel_password`) or a key's file (`sslpassword`), may stand beside a password that is in a file.
    package static func hasPassword(_ url: String, hasScheme: Bool) -> Bool {
        if let identity = identitySecret(of: url, hasScheme), !identity.isEmpty { return true }
        return options(of: url).contains { decoded(url[$0.key]) == "password" && !$0.value.isEmpty }
    }

    /// The URL with `***` for everything that may be a password. When in doubt it hides more: a password may contain
    /// any character that its owner forgot to encode.
    package static func withoutSecrets(_ url: String, hasScheme: Bool) -> String {
        // By position: one reader may see an option's value where another sees part of the password.
        var secrets = options(of: url).filter { isSecret(decoded(url[$0.key])) }.map(\.value)
        if let identity = identitySecret(of: url, hasScheme) { secrets.append(identity) }
        var shown = ""
        var done = url.startIndex
        for secret in secrets.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if secret.lowerBound >= done { shown += url[done..<secret.lowerBound] + "***" }
            done = max(done, secret.upperBound)
        }
        return shown + url[done...]
    }

    /// The text between the colon after the user name and the last "@".
    private static func identitySecret(of url: String, _ hasScheme: Bool) -> Range<String.Index>? {
        guard let at = url.utf8.lastIndex(of: UInt8(ascii: "@")),
            let colon = colon(of: url, before: at, hasScheme)
        else { return nil }
        return url.utf8.index(after: colon)..<at
    }

    /// The colon after the user name: the first one before the "@" that is not part of the scheme.
    private static func colon(of url: String, before at: String.Index, _ hasScheme: Bool) -> String.Index? {
        let head = url.utf8[..<at]
        var start = head.startIndex
        if let slashes = url[..<at].range(ofText: "//") {
            start = slashes.upperBound
        } else if hasScheme, let colon = head.firstIndex(of: UInt8(ascii: ":")) {
            start = head.index(after: colon)
        }
        return head[start...].firstIndex(of: UInt8(ascii: ":"))
    }

    private typealias Option = (key: Range<String.Index>, value: Range<String.Index>)

    /// The text after the first question mark: keys and values as written.
    private static func options(of url: String) -> [Option] {
        let bytes = url.utf8
        guard let query = bytes.firstIndex(of: UInt8(ascii: "?")) else { return [] }
        let separators = [UInt8(ascii: "&"), UInt8(ascii: ";"), UInt8(ascii: "?")]
        return bytes[query...].split { separators.contains($0) }.compactMap { item in
            guard let equals = item.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            return (item.startIndex..<equals, bytes.index(after: equals)..<item.endIndex)
        }
    }

    /// A key as the client libraries read it, in lower case.
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

    /// Whether an option's value is secret. The names of files that contain passwords and keys are not.
    private static func isSecret(_ key: String) -> Bool {
        if key == "passfile" { return false }
        return ["pass", "pwd", "secret", "token"].contains { key.range(ofText: $0) != nil }
    }
}
