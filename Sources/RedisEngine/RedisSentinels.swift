// Redis Sentinel: programs that watch a primary and its replicas, promote a replica when the primary is lost, and tell who asks
// where the primary is.
//
// Source: https://redis.io/docs/latest/develop/reference/sentinel-clients/

internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// The Sentinels that a URL names, and what they call the primary.
struct RedisSentinels: Sendable, Equatable {
    /// Asked in this order, the one that has answered last before the others.
    var hosts: [RedisLocation.Server]
    var primaryName: String
    /// For the Sentinels themselves, which have a login of their own.
    var user: String?
    var password: String?

    static let hostCountMax = 16
}

/// Connects to the primary, wherever that is at the moment.
///
/// - Thread: any that may block.
struct RedisPrimaryFinder: Sendable {
    let sentinels: RedisSentinels
    let choice = ServerChoice(isExclusive: true)
    /// The Sentinel that has answered last.
    private let asked = ServerChoice(isExclusive: false)

    /// Time for a Sentinel to answer, in milliseconds: there are others.
    private static let askingMillisecondsMax: Int64 = 1_000
    private static let hostByteCountMax = 255

    init(_ sentinels: RedisSentinels) { self.sentinels = sentinels }

    /// Connects to the primary, which has to say itself that it is one: a Sentinel may know it late.
    /// - Parameters:
    ///   - limit: time for connecting to it, in milliseconds.
    ///   - greet: connects to a server, and logs in there.
    /// - Returns: a connection to the primary, logged in.
    /// - Throws: what each of the Sentinels, and of the servers that they name, has said.
    func connect(
        limit: Int64, _ greet: (RedisLocation.Server) throws(DriverError) -> RedisHandshake
    ) throws(DriverError) -> RedisHandshake {
        var failures: [(server: String, error: DriverError)] = []
        var tried: [RedisLocation.Server] = []
        for sentinel in order {
            do throws(DriverError) {
                let server = try primary(of: sentinel, limit: min(limit, Self.askingMillisecondsMax))
                asked.take(sentinel.label)
                if tried.contains(server) { continue }
                tried.append(server)
                do throws(DriverError) {
                    let handshake = try greet(server)
                    try checkRole(handshake)
                    choice.take(server.label)
                    return handshake
                } catch {
                    failures.append((server.label, error))
                }
            } catch {
                failures.append(("Sentinel \(sentinel.label)", error))
            }
        }
        throw DriverError.ofServers(failures) ?? Self.unknown(sentinels.primaryName)
    }

    private var order: [RedisLocation.Server] {
        guard let last = asked.current else { return sentinels.hosts }
        return sentinels.hosts.filter { $0.label == last } + sentinels.hosts.filter { $0.label != last }
    }

    // MARK: Sentinels

    private func primary(
        of sentinel: RedisLocation.Server, limit: Int64
    ) throws(DriverError) -> RedisLocation.Server {
        let handshake = try RedisHandshake(sentinel, limitMilliseconds: limit)
        if let password = sentinels.password {
            let words = ["AUTH"] + [sentinels.user].compactMap(\.self) + [password]
            if let error = try handshake.ask(words).error { throw Self.refused(error) }
        }
        let reply = try handshake.ask(["SENTINEL", "get-master-addr-by-name", sentinels.primaryName])
        if let error = reply.error { throw Self.refused(error) }
        guard !reply.isNull else { throw Self.unknown(sentinels.primaryName) }
        let parts = reply.elements.compactMap(\.text)
        guard parts.count == 2, let port = UInt16(parts[1]), port > 0, !parts[0].utf8.contains(0),
            (1...Self.hostByteCountMax).contains(parts[0].utf8.count)
        else { throw Self.nonsense }
        return .network(host: parts[0], port: port)
    }

    private static func refused(_ text: String) -> DriverError {
        let isAboutUser = ["NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR Client sent AUTH"].contains(
            where: text.hasPrefix)
        return DriverError(
            .connectFailed, "The Sentinel did not answer where the primary is.",
            hint: isAboutUser
                ? "A Sentinel has a login of its own: check sentinel_user and sentinel_password in the URL, and the rights of the user "
                    + "(+auth +sentinel|get-master-addr-by-name)."
                : "Check that the URL names Sentinels, and not servers.",
            sqlState: isAboutUser ? "28000" : "08001"
        ).with {
            $0.detail = text
            $0.isRetryable = !isAboutUser
        }
    }

    private static func unknown(_ name: String) -> DriverError {
        DriverError(
            .connectFailed, "No Sentinel of the URL knows a primary of the name \"\(name)\".",
            hint: "Write the name that stands behind \"sentinel monitor\" in their configuration.", sqlState: "08001"
        ).with { $0.isRetryable = true }
    }

    private static let nonsense = DriverError(
        .connectFailed, "The Sentinel answered with what is no address.", hint: "Check that the URL names Sentinels.",
        sqlState: "08P01")

    // MARK: The server

    private func checkRole(_ handshake: RedisHandshake) throws(DriverError) {
        let reply = try handshake.ask(["ROLE"])
        if let error = reply.error {
            throw DriverError(
                .connectFailed, "The Redis server does not tell the daemon whether it is the primary.",
                hint: "Let the user run ROLE: ACL SETUSER … +role.", sqlState: "28000"
            ).with { $0.detail = error }
        }
        guard let role = reply.elements.first?.text, role != "master" else {
            if reply.elements.isEmpty { throw Self.nonsense }
            return
        }
        throw DriverError(
            .connectFailed, "The server that the Sentinels name is not the primary yet.", hint: "Try again.",
            sqlState: "25006"
        ).with {
            $0.detail = "it is a replica (ROLE: \(role.prefix(20)))"
            $0.isRetryable = true
        }
    }
}
