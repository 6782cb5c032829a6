// Where a MySQL or MariaDB database is: `mysql:` and `mariadb:` URLs.

package import DatabaseContract
internal import RemoteDatabases

/// A `mysql://` or `mariadb://` URL: hosts, user, database, and what the connection needs.
///
/// It may hold a password. Nothing but the driver looks at `password`; whatever is shown is made of `label`.
package struct MySQLLocation: RemoteLocation, CustomStringConvertible, CustomReflectable {
    /// One of the servers that hold the database.
    struct Host: Sendable, Equatable {
        var name: String
        var port: UInt32

        /// As people write it.
        var label: String {
            "\(name.contains(":") ? "[\(name)]" : name):\(port == 0 ? MySQLLocation.defaultPort : port)"
        }
    }

    /// How far a connection is encrypted, and the server known.
    enum Encryption: String, Sendable, CaseIterable {
        case disabled, preferred, required
        case verifyIdentity = "verify-identity"
    }

    /// Tried in this order; empty with a socket.
    let hosts: [Host]
    /// Which of them are wanted.
    let target: MySQLTarget
    let socket: String?
    let user: String?
    let password: String?
    let database: String?
    let encryption: Encryption
    /// Files and lists for TLS, by the name of the parameter.
    let tls: [String: String]
    /// Host and database, for logs.
    package let label: String

    static let defaultPort: UInt32 = 3306
    /// As Debian's server has it.
    static let defaultSocket = "/run/mysqld/mysqld.sock"
    private static let hostCountMax = 16
    /// Parameters that libmariadb gets as they are.
    static let tlsParameters = [
        "ssl-ca", "ssl-capath", "ssl-cert", "ssl-key", "ssl-crl", "ssl-cipher", "tls-version", "ssl-fingerprint",
    ]

    /// - Throws: `DriverError` with code `badRequest`, whose text holds nothing that may be a password.
    package init(url: String) throws(DriverError) {
        let parts = try URLParts(url)
        let options = try Self.options(parts.query)
        let hosts = try Self.hosts(parts.authority)
        if let path = options["socket"] {
            guard path.hasPrefix("/") else { throw Self.bad("The path of the socket in the URL is not absolute.") }
            guard hosts.isEmpty || hosts.map(\.name) == ["localhost"] else {
                throw Self.bad("The URL names both a host and a socket.")
            }
        }
        // "localhost" is the socket, as for every program of MySQL's.
        let isLocal = hosts.allSatisfy { $0.name == "localhost" && $0.port == 0 }
        socket = options["socket"] ?? (isLocal ? Self.defaultSocket : nil)
        self.hosts = socket == nil ? hosts : []
        user = parts.user
        password = parts.password
        database = parts.database.isEmpty ? nil : parts.database
        tls = options.filter { Self.tlsParameters.contains($0.key) }
        encryption = try Self.encryption(options, tls, isLocal: socket != nil)
        target = try Self.target(options[Self.targetParameter])
        let place = socket ?? self.hosts.map(\.label).joined(separator: ",")
        label = "mysql://\(socket == nil ? place : "")/\(parts.database)" + (socket.map { "?socket=\($0)" } ?? "")
    }

    package var description: String { label }
    package var customMirror: Mirror { Mirror(self, children: ["label": label]) }

    /// What must not be shown, wherever it comes up.
    var secrets: [String] { password.map { [$0] } ?? [] }

    /// What a client's URL may say: nothing by which the daemon would prove who it is.
    private static let clientParameters: Set<String> = [
        "ssl-ca", "ssl-capath", "ssl-cipher", "tls-version", "ssl-fingerprint",
    ]

    /// What of the URL is not for clients.
    package func checkClientURL() throws(DriverError) {
        guard let refused = tls.keys.sorted().first(where: { !Self.clientParameters.contains($0) }) else { return }
        throw DriverError(
            .badRequest, "A MySQL URL that a client names may not say \(refused).",
            hint: "Leave it out, or have an administrator configure the database.")
    }

    // MARK: Parts

    private static func options(_ query: [(String, String)]) throws(DriverError) -> [String: String] {
        var options: [String: String] = [:]
        for (key, value) in query {
            let key = String(key.map { $0 == "_" ? "-" : $0 })
            guard tlsParameters.contains(key) || ["socket", "ssl-mode", targetParameter].contains(key) else {
                throw bad("The URL has a parameter that is not known: \(key).")
            }
            guard !value.isEmpty, options.updateValue(value, forKey: key) == nil else {
                throw bad("The parameter \(key) in the URL is empty or comes twice.")
            }
        }
        return options
    }

    /// `target_session_attrs`, as parameters are written here.
    private static let targetParameter = "target-session-attrs"

    private static func target(_ name: String?) throws(DriverError) -> MySQLTarget {
        guard let name else { return .any }
        guard let target = MySQLTarget(rawValue: name) else {
            let known = MySQLTarget.allCases.map(\.rawValue).joined(separator: ", ")
            throw bad("The target_session_attrs in the URL is none of \(known).")
        }
        return target
    }

    private static func hosts(_ authority: Substring) throws(DriverError) -> [Host] {
        if authority.isEmpty { return [] }
        var hosts: [Host] = []
        for item in authority.split(separator: ",", omittingEmptySubsequences: false) { hosts.append(try host(item)) }
        guard hosts.count <= hostCountMax else { throw bad("The URL names more than \(hostCountMax) hosts.") }
        return hosts
    }

    private static func host(_ text: Substring) throws(DriverError) -> Host {
        var name = text
        var port: Substring?
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw bad("The IPv6 address in the URL has no end.") }
            name = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { throw bad("The port in the URL is not a number.") }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            name = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard !name.isEmpty, text.first == "[" || !name.contains(":") else {
            throw bad("A host in the URL is not understood.")
        }
        guard let port else { return Host(name: String(name), port: 0) }
        guard let number = UInt16(port), number > 0 else { throw bad("The port in the URL is not a number.") }
        return Host(name: String(name), port: UInt32(number))
    }

    private static func encryption(
        _ options: [String: String], _ tls: [String: String], isLocal: Bool
    ) throws(DriverError) -> Encryption {
        let versions = ["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
        guard tls["tls-version"]?.split(separator: ",").allSatisfy({ versions.contains(String($0)) }) ?? true else {
            throw bad("The tls-version in the URL is none of \(versions.joined(separator: ", ")), or a list of these.")
        }
        if (tls["ssl-cert"] == nil) != (tls["ssl-key"] == nil) {
            throw bad("The URL names one of ssl-cert and ssl-key; both are needed.")
        }
        guard let name = options["ssl-mode"]?.lowercased() else {
            if tls["ssl-ca"] != nil || tls["ssl-capath"] != nil { return .verifyIdentity }
            return isLocal && tls.isEmpty ? .disabled : tls.isEmpty ? .preferred : .required
        }
        guard let mode = Encryption(rawValue: String(name.map { $0 == "_" ? "-" : $0 })) else {
            let known = Encryption.allCases.map(\.rawValue).joined(separator: ", ")
            throw bad("The ssl-mode in the URL is none of \(known).")
        }
        if mode == .disabled, !tls.isEmpty { throw bad("The URL disables TLS and has parameters for it.") }
        return mode
    }

    fileprivate static func bad(_ message: String) -> DriverError {
        DriverError(
            .badRequest, message,
            hint: "Write mysql://USER@HOST:PORT/DATABASE or mysql://USER@/DATABASE?socket=/run/mysqld/mysqld.sock, "
                + "with %XX for special characters")
    }
}

/// The parts of a URL, decoded where they are not looked at any further.
private struct URLParts {
    var user: String?
    var password: String?
    /// Hosts and ports.
    var authority: Substring
    var database: String
    var query: [(String, String)]

    init(_ url: String) throws(DriverError) {
        guard let scheme = url.range(ofText: "://"), ["mysql", "mariadb"].contains(url[..<scheme.lowerBound]) else {
            throw MySQLLocation.bad("A MySQL URL begins with mysql:// or mariadb://.")
        }
        guard !url.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
            throw MySQLLocation.bad("The MySQL URL contains a control character.")
        }
        var rest = url[scheme.upperBound...]
        // What is behind an unencoded character of a password must not be taken for a host, a path or a parameter.
        guard rest.filter({ $0 == "@" }).count <= 1, !rest.contains("#") else {
            throw MySQLLocation.bad("The user name or the password in the MySQL URL is not percent-encoded.")
        }
        if let at = rest.firstIndex(of: "@") {
            let identity = rest[..<at]
            guard !identity.contains("/"), !identity.contains("?") else {
                throw MySQLLocation.bad("The user name or the password in the MySQL URL is not percent-encoded.")
            }
            let colon = identity.firstIndex(of: ":")
            user = try Self.decoded(identity[..<(colon ?? identity.endIndex)])
            if user?.isEmpty == true { user = nil }
            if let colon { password = try Self.decoded(identity[identity.index(after: colon)...]) }
            rest = rest[rest.index(after: at)...]
        }
        query = []
        if let mark = rest.firstIndex(of: "?") {
            for item in rest[rest.index(after: mark)...].split(separator: "&") {
                let equals = item.firstIndex(of: "=") ?? item.endIndex
                query.append((try Self.decoded(item[..<equals]), try Self.decoded(item[equals...].dropFirst())))
            }
            rest = rest[..<mark]
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        authority = rest[..<slash]
        database = try Self.decoded(rest[slash...].dropFirst())
    }

    /// Resolves `%XX`.
    private static func decoded(_ text: Substring) throws(DriverError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let digits = String(rest.prefix(2)), digits.utf8.count == 2, digits.first != "+", digits.first != "-",
                let value = UInt8(digits, radix: 16), value != 0
            else { throw MySQLLocation.bad("The MySQL URL has a % that is not followed by two hexadecimal digits.") }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw MySQLLocation.bad("The MySQL URL is not UTF-8.")
        }
        return text
    }
}
