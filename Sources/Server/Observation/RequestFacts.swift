// What is known about a request when it is reported. Made only if somebody wants to know it.

public import LinuxSystem

/// A request in the log: its client, its database, and its outcome.
///
/// Never holds SQL text, a parameter or a secret.
public struct RequestFacts: Sendable {
    public var connection: UInt64
    /// `nil` for a TCP connection.
    public var peer: PeerCredentials?
    /// The client's id of the request, printable, at most 128 bytes.
    public var request: String
    /// Its type on the wire.
    public var type: StaticString
    public var database: String?
    /// The protocol's code of the error that it ended with.
    public var code: StaticString?
    public var sqlState: String?
    /// Time that the daemon worked on it (docs/protocol.md, `elapsed_us`).
    public var microseconds: Int64?
    /// Rows that were sent.
    public var rowCount: Int64?
    public var rowsAffected: Int64?

    public init(connection: UInt64, peer: PeerCredentials?, request: String, type: StaticString) {
        self.connection = connection
        self.peer = peer
        self.request = request
        self.type = type
    }

    /// Longest id that is shown.
    static let requestByteCountMax = 128

    /// These facts as fields of the journal.
    var fields: [(name: String, value: String)] {
        var fields = [("LITEBASE_CONNECTION", "\(connection)"), ("LITEBASE_REQUEST", request)] + Self.fields(peer)
        if let database { fields.append(("LITEBASE_DATABASE", database)) }
        if let code { fields.append(("LITEBASE_CODE", "\(code)")) }
        if let sqlState { fields.append(("LITEBASE_SQLSTATE", sqlState)) }
        if let microseconds { fields.append(("LITEBASE_DURATION_US", "\(microseconds)")) }
        if let rowCount { fields.append(("LITEBASE_ROWS", "\(rowCount)")) }
        if let rowsAffected { fields.append(("LITEBASE_ROWS_AFFECTED", "\(rowsAffected)")) }
        return fields
    }

    /// `Connection 3 (uid 1000, pid 4711): query 17 on default`.
    var subject: String {
        "\(Self.text(connection, peer)): \(type) \(request)" + (database.map { " on \($0)" } ?? "")
    }

    /// ` with busy (55P03)`; empty if it did not fail.
    var failure: String {
        guard let code else { return "" }
        return " with \(code)" + (sqlState.map { " (\($0))" } ?? "")
    }

    /// ` in 1.234 ms`; empty if unknown.
    var duration: String {
        guard let microseconds else { return "" }
        let fraction = String(microseconds % 1000)
        return " in \(microseconds / 1000)." + String(repeating: "0", count: 3 - fraction.utf8.count) + "\(fraction) ms"
    }

    static func text(
        _ connection: UInt64, _ peer: PeerCredentials?, program: String? = nil, noun: String = "Connection"
    ) -> String {
        guard let peer else { return "\(noun) \(connection)" }
        return "\(noun) \(connection) (uid \(peer.uid), pid \(peer.pid)\(program.map { ", \($0)" } ?? ""))"
    }

    static func fields(_ peer: PeerCredentials?) -> [(name: String, value: String)] {
        peer.map { [("LITEBASE_PEER_UID", "\($0.uid)"), ("LITEBASE_PEER_PID", "\($0.pid)")] } ?? []
    }
}
