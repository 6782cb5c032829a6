// The other end of a socket pair, played by a script in a thread: reads requests, sends what the test says.

import ByteBuffers
import Glibc
import LinuxSystem
import LiteBaseTesting
import Testing
import WireProtocol

@testable import LiteBaseClient

/// A request as the server reads it.
struct ReceivedRequest {
    let id: Int64
    let type: String
    let data: StructuredValue
}

/// The server's end. Used by the script's thread only.
final class ServerEnd: @unchecked Sendable {
    private let number: Int32
    private var input: [UInt8] = []
    private var isClosed = false

    init(number: Int32) {
        self.number = number
    }

    deinit { close() }

    /// Whether something comes soon.
    func hasMore(within milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, milliseconds) > 0
    }

    func close() {
        if !isClosed { Glibc.close(number) }
        isClosed = true
    }

    /// The next request; `nil` when the client has closed.
    func receive() -> ReceivedRequest? {
        while true {
            if let request = parse() { return request }
            var chunk = [UInt8](repeating: 0, count: 65536)
            let count = read(number, &chunk, chunk.count)
            if count <= 0 { return nil }
            input += chunk[..<count]
        }
    }

    /// What comes by another way than the socket.
    func feed(_ bytes: some Sequence<UInt8>) { input += bytes }

    /// The next bytes of the socket; none when the client has closed.
    func receiveBytes() -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = read(number, &chunk, chunk.count)
        return Array(chunk[..<max(0, count)])
    }

    /// Sends bytes and with them a descriptor.
    func send(_ bytes: [UInt8], descriptor: Int32) throws {
        let socket = try OwnedDescriptor.duplicate(of: number)
        let outcome = bytes.withUnsafeBytes { Sockets.send(socket, $0, descriptor: descriptor) }
        #expect(outcome == .bytes(bytes.count))
    }

    func parse() -> ReceivedRequest? {
        guard input.count >= 4 else { return nil }
        let length = input[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard input.count - 4 >= length else { return nil }
        let body = Array(input[4..<4 + length])
        input.removeFirst(4 + length)
        var reader = Decoder(body: body)
        let message = reader.decode()
        return ReceivedRequest(
            id: message["id"]?.integer ?? -1, type: message["type"]?.text ?? "", data: message["data"] ?? .map([]))
    }

    /// Sends one reply.
    func reply(_ id: Int64?, _ type: String, _ data: [(String, StructuredValue)]) {
        send(Self.frame(id, type, data))
    }

    func send(_ bytes: some Sequence<UInt8>) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }

    /// How many bytes the client lets in before it stops reading for `milliseconds`.
    func sendUntilBlocked(_ bytes: [UInt8], milliseconds: Int32) -> Int {
        let milliseconds = milliseconds * Int32(Patience.factor)
        var total = 0
        while true {
            var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
            guard poll(&entry, 1, milliseconds) == 1 else { return total }
            var rest = bytes[...]
            while !rest.isEmpty {
                guard poll(&entry, 1, milliseconds) == 1 else { return total }
                let count = rest.withUnsafeBytes {
                    Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
                }
                guard count > 0 else { return total }
                total += count
                rest = rest.dropFirst(count)
            }
        }
    }

    static func frame(_ id: Int64?, _ type: String, _ data: [(String, StructuredValue)]) -> [UInt8] {
        var body = ByteBuffer()
        encode(
            .map([
                ("id", id.map { .value(.integer($0)) } ?? .value(.null)), ("type", .value(.text(type))),
                ("data", .map(data.map { (key: $0, value: $1) })),
            ]), into: &body)
        var frame = ByteBuffer()
        frame.appendBigEndian(UInt32(body.count))
        frame.append(body.readable)
        return Array(frame.readable)
    }

    /// Rows of one integer column.
    static func rows(_ id: Int64, _ numbers: [Int64], isFirst: Bool, more: Bool) -> [UInt8] {
        var data: [(String, StructuredValue)] = []
        if isFirst { data.append(("columns", .array([.map([("name", .value("n"))])]))) }
        data.append(("rows", .array(numbers.map { .array([.value(.integer($0))]) })))
        data.append(("more", .value(.bool(more))))
        if !more { data.append(("row_count", .value(.integer(Int64(numbers.count))))) }
        return frame(id, "query_response", data)
    }

    private static func encode(_ value: StructuredValue, into output: inout ByteBuffer) {
        switch value {
        case .value(.null): output.appendMessagePackNull()
        case .value(.bool(let flag)): output.appendMessagePackBool(flag)
        case .value(.integer(let number)): output.appendMessagePackInteger(number)
        case .value(.unsigned(let number)): output.appendMessagePackUnsigned(number)
        case .value(.real(let number)): output.appendMessagePackReal(number)
        case .value(.text(let text)): output.appendMessagePackText(text)
        case .value(.blob(let bytes)): bytes.withUnsafeBytes { output.appendMessagePackBinary($0) }
        case .array(let elements):
            output.appendMessagePackArrayHeader(elements.count)
            for element in elements { encode(element, into: &output) }
        case .map(let members):
            output.appendMessagePackMapHeader(members.count)
            for (key, member) in members {
                output.appendMessagePackText(key)
                encode(member, into: &output)
            }
        }
    }
}

/// Decodes whole requests; what is no MessagePack becomes an empty map, which fails the test.
private struct Decoder {
    let body: [UInt8]
    private var offset = 0

    init(body: [UInt8]) { self.body = body }

    mutating func decode() -> StructuredValue {
        body.withUnsafeBytes { bytes in
            var reader = MessagePackReader(bytes)
            return (try? Self.value(&reader)) ?? .map([])
        }
    }

    private static func value(_ reader: inout MessagePackReader) throws(DecodeError) -> StructuredValue {
        switch try reader.next() {
        case .null: return .value(.null)
        case .bool(let flag): return .value(.bool(flag))
        case .integer(let number): return .value(.integer(number))
        case .unsigned(let number): return .value(.unsigned(number))
        case .real(let number): return .value(.real(number))
        case .text(let bytes): return .value(.text(String(decoding: bytes, as: UTF8.self)))
        case .binary(let bytes), .ext(_, let bytes): return .value(.blob(Array(bytes)))
        case .array(let count):
            var elements: [StructuredValue] = []
            for _ in 0..<count { elements.append(try value(&reader)) }
            return .array(elements)
        case .map(let count):
            var members: [(key: String, value: StructuredValue)] = []
            for _ in 0..<count {
                let key = String(decoding: try reader.readText("key"), as: UTF8.self)
                members.append((key, try value(&reader)))
            }
            return .map(members)
        }
    }
}

/// Starts a script and returns the client's end of its connection.
func startServer(_ script: @escaping @Sendable (ServerEnd) -> Void) throws -> OwnedDescriptor {
    var pair: (Int32, Int32) = (-1, -1)
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let result = withUnsafeMutablePointer(to: &pair) {
        $0.withMemoryRebound(to: Int32.self, capacity: 2) { socketpair(AF_UNIX, type, 0, $0) }
    }
    #expect(result == 0)
    try Sockets.prepareInherited(pair.0)
    let server = ServerEnd(number: pair.1)
    try Thread.start(name: "script") {
        script(server)
        server.close()
    }
    return OwnedDescriptor(pair.0)
}

/// A blocking client of a script.
func blockingClient(
    transport: Transport = .automatic, _ script: @escaping @Sendable (ServerEnd) -> Void
) throws -> BlockingClient {
    let client = BlockingClient(socket: try startServer(script), transport: transport)
    // A test that would wait for ever fails instead.
    client.timeout = .seconds(10)
    return client
}

/// An asynchronous client of a script.
func client(
    timeout: Duration? = .seconds(10), transport: Transport = .automatic,
    _ script: @escaping @Sendable (ServerEnd) -> Void
) throws -> Client {
    try Client(socket: try startServer(script), timeout: timeout, transport: transport)
}
