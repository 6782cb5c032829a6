// The location of a Redis database: `redis:` URLs, and those of Unix sockets.

package import DatabaseContract
internal import RemoteDatabases

/// A URL of a Redis server, or of one that speaks its protocol (Valkey, KeyDB).
///
/// It may contain a password. Only the driver reads `password`; everything that is shown is made from `label`.
/// - Source: https://www.iana.org/assignments/uri-schemes/prov/redis, and redis-py for `unix:`
package struct RedisLocation: RemoteLocation, CustomStringConvertible, CustomReflectable {
    enum Server: Sendable, Equatable {
        case network(host: String, port: UInt16)
        /// Absolute path of a socket.
        case socket(String)

        /// As people write it.
        var label: String {
            switch self {
            case .network(let host, let port): "\(host.contains(":") ? "[\(host)]" : host):\(port)"
            case .socket(let path): path
            }
        }
    }

    /// How the server is found.
    enum Route: Sendable, Equatable {
        case server(Server)
        case sentinels(RedisSentinels)
        case cluster(RedisClusterSeeds)
    }

    let route: Route
    /// `nil` for the server's user "default".
    let user: String?
    let password: String?
    /// Number of the database.
    let database: Int32
    /// Server and database, for logs.
    package let label: String
    /// Of a cluster, or of one of its nodes.
    let isOfCluster: Bool

    private static let networkSchemes = ["redis://", "valkey://"]
    private static let socketSchemes = ["redis+unix://", "valkey+unix://", "unix://"]
    /// As the Python library `limits`, Gitea and others write it, beside `redis+sentinel:`. Clients of Redis itself have classes for
    /// it, and no URLs.
    private static let clusterSchemes = ["redis+cluster://", "valkey+cluster://"]
    private static let sentinelSchemes = ["redis+sentinel://", "valkey+sentinel://"]
    private static let encryptedSchemes = ["rediss://", "valkeys://"]
    private static let standardPort: UInt16 = 6379
    private static let sentinelPort: UInt16 = 26379
    /// sockaddr_un(7).
    private static let pathByteCountMax = 107

    /// - Throws: `DriverError` with code `badRequest`, whose text contains nothing that may be a password.
    package init(url: String) throws(DriverError) {
        if Self.encryptedSchemes.contains(where: url.hasPrefix) { throw Self.encrypted }
        guard !url.utf8.contains(where: { $0 < 0x21 || $0 == 0x7f }) else {
            throw Self.bad("The Redis URL contains a blank or a control character.")
        }
        let parts: Parts
        if let rest = Self.rest(of: url, behind: Self.networkSchemes) {
            parts = try Parts(rest)
            route = .server(try Self.network(parts.address))
            database = try Self.database(path: parts.path, options: parts.options)
        } else if let rest = Self.rest(of: url, behind: Self.socketSchemes) {
            parts = try Parts(rest)
            route = .server(try Self.socket(parts))
            database = try Self.database(path: "", options: parts.options)
        } else if let rest = Self.rest(of: url, behind: Self.sentinelSchemes) {
            parts = try Parts(rest)
            let path = parts.path.dropFirst().split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            var options = parts.options
            route = .sentinels(try Self.sentinels(parts.address, name: path.first ?? "", &options))
            database = try Self.database(path: path.count == 2 ? "/" + path[1] : "", options: options)
        } else if let rest = Self.rest(of: url, behind: Self.clusterSchemes) {
            parts = try Parts(rest)
            route = .cluster(RedisClusterSeeds(hosts: try Self.seeds(parts.address)))
            database = try Self.database(path: parts.path, options: parts.options)
            guard database == 0 else { throw Self.bad("A Redis Cluster has no database but 0.") }
        } else {
            throw Self.bad("A Redis URL begins with redis://, redis+unix://, redis+sentinel:// or redis+cluster://.")
        }
        user = parts.user
        password = parts.password
        if case .cluster = route { isOfCluster = true } else { isOfCluster = false }
        label =
            switch route {
            case .server(let server): Self.label(server, database)
            case .sentinels(let sentinels):
                "redis+sentinel://\(sentinels.hosts.map(\.label).joined(separator: ","))/\(sentinels.primaryName)/\(database)"
            case .cluster(let seeds): "redis+cluster://\(seeds.hosts.map(\.label).joined(separator: ","))"
            }
    }

    /// A node of a cluster, which the cluster itself has named.
    init(node: Server, of cluster: RedisLocation) {
        route = .server(node)
        user = cluster.user
        password = cluster.password
        database = 0
        isOfCluster = true
        label = Self.label(node, 0)
    }

    private static func label(_ server: Server, _ database: Int32) -> String {
        switch server {
        case .network: "redis://\(server.label)/\(database)"
        case .socket(let path): "redis+unix://\(path)?db=\(database)"
        }
    }

    package var description: String { label }
    package var customMirror: Mirror { Mirror(self, children: ["label": label]) }

    /// Besides the servers and the logins, the URL can only have the number of the database.
    package func checkClientURL() throws(DriverError) {}

    // MARK: Parts of the URL

    /// The text after the scheme: `[user[:password]@][address][/path][?options]`.
    private struct Parts {
        var user: String?
        var password: String?
        var address: Substring
        var path: Substring
        var options: [Substring]

        init(_ text: Substring) throws(DriverError) {
            let halves = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            var rest = halves[0]
            options = halves.count == 2 ? halves[1].split(separator: "&") : []
            // The last one: a password may contain characters that its owner forgot to encode.
            if let at = rest.lastIndex(of: "@") {
                let names = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                let user = try RedisLocation.decoded(names[0])
                self.user = user.isEmpty ? nil : user
                if names.count == 2 { password = try RedisLocation.decoded(names[1]) }
                rest = rest[rest.index(after: at)...]
            }
            let slash = rest.firstIndex(of: "/") ?? rest.endIndex
            address = rest[..<slash]
            path = rest[slash...]
        }
    }

    private static func rest(of url: String, behind schemes: [String]) -> Substring? {
        schemes.first(where: url.hasPrefix).map { url.dropFirst($0.count) }
    }

    private static func network(
        _ address: Substring, standardPort: UInt16 = standardPort
    ) throws(DriverError) -> Server {
        var host = address
        var port: Substring?
        if address.hasPrefix("["), let end = address.firstIndex(of: "]") {
            host = address[address.index(after: address.startIndex)..<end]
            let behind = address[address.index(after: end)...]
            guard behind.isEmpty || behind.hasPrefix(":") else {
                throw bad("The host in the Redis URL is not understood.")
            }
            port = behind.isEmpty ? nil : behind.dropFirst()
        } else if let colon = address.firstIndex(of: ":") {
            host = address[..<colon]
            port = address[address.index(after: colon)...]
        }
        let number = port.map { UInt16($0) } ?? standardPort
        guard let number, number > 0 else { throw bad("The port in the Redis URL is not a number from 1 to 65535.") }
        let name = try decoded(host)
        guard !name.utf8.contains(0) else { throw bad("The host in the Redis URL is not understood.") }
        return .network(host: name.isEmpty ? "localhost" : name, port: number)
    }

    private static func socket(_ parts: Parts) throws(DriverError) -> Server {
        let path = try decoded(parts.path)
        guard parts.address.isEmpty, path.count > 1, !path.utf8.contains(0) else {
            throw bad("The Redis URL names no socket.")
        }
        guard path.utf8.count <= pathByteCountMax else {
            throw bad("The path of the socket in the Redis URL is longer than \(pathByteCountMax) bytes.")
        }
        return .socket(path)
    }

    private static func seeds(_ address: Substring) throws(DriverError) -> [Server] {
        var hosts: [Server] = []
        for item in address.split(separator: ",", omittingEmptySubsequences: false) {
            guard !item.isEmpty else { throw bad("A server in the Redis URL has no host.") }
            hosts.append(try network(item))
        }
        guard (1...RedisClusterSeeds.hostCountMax).contains(hosts.count) else {
            throw bad("The Redis URL names no server, or more than \(RedisClusterSeeds.hostCountMax).")
        }
        return hosts
    }

    // Of `options`, those of the database are left.
    private static func sentinels(
        _ address: Substring, name: Substring, _ options: inout [Substring]
    ) throws(DriverError) -> RedisSentinels {
        var hosts: [Server] = []
        for item in address.split(separator: ",", omittingEmptySubsequences: false) {
            guard !item.isEmpty else { throw bad("A Sentinel in the Redis URL has no host.") }
            hosts.append(try network(item, standardPort: sentinelPort))
        }
        guard (1...RedisSentinels.hostCountMax).contains(hosts.count) else {
            throw bad("The Redis URL names no Sentinel, or more than \(RedisSentinels.hostCountMax).")
        }
        let name = try decoded(name)
        guard !name.isEmpty, !name.utf8.contains(0) else {
            throw bad("The Redis URL does not say what the Sentinels call the primary.")
        }
        var logins: [String: String] = [:]
        var others: [Substring] = []
        for option in options {
            let equals = option.firstIndex(of: "=") ?? option.endIndex
            let key = String(option[..<equals])
            guard ["sentinel_user", "sentinel_password"].contains(key) else {
                others.append(option)
                continue
            }
            let value = try decoded(option[equals...].dropFirst())
            guard !value.isEmpty, logins.updateValue(value, forKey: key) == nil else {
                throw bad("The option \(key) in the Redis URL is empty or comes twice.")
            }
        }
        options = others
        guard logins["sentinel_user"] == nil || logins["sentinel_password"] != nil else {
            throw bad("The Redis URL names a sentinel_user, and no sentinel_password.")
        }
        return RedisSentinels(
            hosts: hosts, primaryName: name, user: logins["sentinel_user"], password: logins["sentinel_password"])
    }

    private static func database(path: Substring, options: [Substring]) throws(DriverError) -> Int32 {
        var text = path.dropFirst()
        for option in options {
            guard option.hasPrefix("db="), text.isEmpty else {
                throw bad("The Redis URL has an option that is not known, or two database numbers.")
            }
            text = option.dropFirst(3)
        }
        if text.isEmpty { return 0 }
        guard let number = Int32(text), number >= 0, text.first != "+" else {
            throw bad("The database in the Redis URL is not a number from 0.")
        }
        return number
    }

    private static func decoded(_ text: Substring) throws(DriverError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            // Only the initializer takes a sign for a digit.
            guard digits.count == 2, digits.first != UInt8(ascii: "+"), digits.first != UInt8(ascii: "-"),
                let value = UInt8(Substring(digits), radix: 16)
            else { throw bad("The Redis URL has a % that is not followed by two hexadecimal digits.") }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else { throw bad("The Redis URL is not UTF-8.") }
        return decoded
    }

    private static func bad(_ message: String) -> DriverError {
        DriverError(
            .badRequest, message,
            hint: "Write redis://USER@HOST:PORT/DATABASE, redis+unix:///path/of/socket?db=DATABASE, "
                + "redis+sentinel://USER@HOST:PORT,HOST:PORT/NAME/DATABASE or redis+cluster://USER@HOST:PORT,HOST:PORT, "
                + "with %XX for special characters")
    }

    private static let encrypted = DriverError(
        .badRequest, "Redis over TLS (rediss:) is not supported: hiredis 0.14 cannot encrypt.",
        hint: "Use the server's Unix socket, or put stunnel between the daemon and the server.")
}
