// Messages of NOTIFY, on a connection that does nothing else.
//
// Source: https://www.postgresql.org/docs/15/libpq-notify.html, sql-listen.html

internal import ByteBuffers
internal import CPostgreSQL
internal import DatabaseContract
internal import Glibc
internal import LinuxSystem
internal import RemoteDatabases

extension PostgreSQLDriver: ChannelDriver {
    /// NAMEDATALEN - 1: the server would cut a longer one.
    private static let nameByteCountMax = 63

    func check(_ name: ChannelName) throws(DriverError) {
        if name.isPattern {
            throw DriverError(
                .badRequest, "PostgreSQL has no patterns of channels.", hint: "Name each channel.", sqlState: "0A000")
        }
        let isName = (1...Self.nameByteCountMax).contains(name.bytes.count)
        guard isName, name.bytes.withUnsafeBytes({ isValidUTF8($0) && !$0.holds(0) }) else {
            throw DriverError(
                .badRequest, "The name of a channel has 1 to \(Self.nameByteCountMax) bytes in PostgreSQL.",
                hint: "It is an identifier, as within double quotes: capitals count.", sqlState: "42602")
        }
    }

    func openChannels(password: String?) throws(DriverError) -> any ChannelConnection {
        try PostgreSQLLibrary.load()
        let handshake = try PostgreSQLHandshake(place, password: password, settings)
        let server = try PostgreSQLServerFacts(handshake)
        if server.isBehindPooler { throw Self.noChannels }
        // For an administrator; and since PostgreSQL 14 an idle connection may be closed.
        _ = try handshake.execute(
            "SELECT pg_catalog.set_config('application_name', "
                + "pg_catalog.current_setting('application_name') || ': subscribe', false)")
        _ = try handshake.execute("SET idle_session_timeout = 0")
        return PostgreSQLChannels(handshake)
    }

    private static let noChannels = DriverError(
        .databaseError, "Messages do not come through a pooler, whose connections become other clients'.",
        hint: "Name the server itself in the URL of a database to which clients subscribe.", sqlState: "0A000")
}

/// A connection that listens.
///
/// - Thread: one that may block.
final class PostgreSQLChannels: ChannelConnection {
    private let handshake: PostgreSQLHandshake
    private var input = PostgreSQLInput()
    let lossReason = ChangeGap.connectionLost

    init(_ handshake: PostgreSQLHandshake) { self.handshake = handshake }

    var socketNumber: Int32 { handshake.handle.map { libpq.PQsocket($0) } ?? -1 }

    /// The server sends what is committed behind the commit of LISTEN.
    func change(
        beginning: [ChannelName], ending: [ChannelName]
    ) throws(DriverError) -> [ChannelName: DriverError] {
        let ends = ending.map { Self.statement("UNLISTEN", $0) }
        let begins = beginning.map { Self.statement("LISTEN", $0) }
        guard !(begins + ends).isEmpty, try handshake.execute((ends + begins).joined()) != nil else { return [:] }
        // One of them has failed, and so all.
        for end in ends { _ = try handshake.execute(end) }
        var refusals: [ChannelName: DriverError] = [:]
        for (name, begin) in zip(beginning, begins) {
            if let refusal = try handshake.execute(begin) { refusals[name] = refusal }
        }
        return refusals
    }

    private static func statement(_ word: String, _ name: ChannelName) -> String {
        var quoted: [UInt8] = []
        for byte in name.bytes {
            if byte == UInt8(ascii: "\"") { quoted.append(byte) }
            quoted.append(byte)
        }
        return "\(word) \"\(String(decoding: quoted, as: UTF8.self))\";"
    }

    func read() throws(DriverError) -> [ChannelMessage] {
        guard let handle = handshake.handle else { throw handshake.failed() }
        switch input.read(handle) {
        case .read: break
        case .failed: throw handshake.failed()
        case .tooMuch: throw handshake.failed("The server has sent a message that is longer than any may be.")
        }
        var messages: [ChannelMessage] = []
        while let notification = libpq.PQnotifies(handle) {
            messages.append(Self.message(notification.pointee))
            libpq.PQfreemem(notification)
            input.noteMessage()
        }
        guard libpq.PQstatus(handle) == CONNECTION_OK, !input.isFruitless else { throw handshake.failed() }
        return messages
    }

    private static func message(_ notification: PGnotify) -> ChannelMessage {
        let channel = bytes(notification.relname)
        return ChannelMessage(
            ChannelName(channel), channel: channel, payload: bytes(notification.extra), pid: notification.be_pid)
    }

    private static func bytes(_ text: UnsafePointer<CChar>?) -> [UInt8] {
        text.map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) } ?? []
    }

    func ping() throws(DriverError) { _ = try handshake.execute("SELECT 1") }
}
