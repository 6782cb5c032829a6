// `hello`: introduces the client, with its preferences.

public import ByteBuffers

/// `hello`: introduces the client, with its preferences.
public struct HelloRequest: RequestContent {
    public typealias Reply = HelloReply
    public static var type: RequestType { RequestType("hello", reply: "hello_response") }

    /// The client's name, for administrators of servers on which it has sessions.
    public private(set) var client: UnsafeRawBufferPointer?
    /// Whether the client speaks version 1; true if it names no version.
    public private(set) var speaksVersion1 = true
    public private(set) var int64 = Int64Style.tagged
    /// Whether the client knows the message `notice`, which answers no request.
    public private(set) var notices = false
    /// Whether the client wants to send descriptors along.
    public private(set) var descriptors = false
    /// Whether the client wants to exchange messages through shared memory.
    public private(set) var wantsSharedMemory = false
    /// The sizes of the rings that it would like.
    public private(set) var requestRingByteCount: Int64?
    public private(set) var replyRingByteCount: Int64?

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("client") {
                client = try fields.optionalText("client")
            } else if name.equals("protocol") {
                speaksVersion1 = try Self.readVersions(&fields)
            } else if name.equals("int64") {
                int64 = try Self.readStyle(&fields)
            } else if name.equals("notices") {
                notices = try fields.optionalBool("notices") ?? false
            } else if name.equals("descriptors") {
                descriptors = try fields.optionalBool("descriptors") ?? false
            } else if name.equals("transport") {
                wantsSharedMemory = try Self.readTransport(&fields)
            } else if name.equals("request_ring_bytes") {
                requestRingByteCount = try fields.optionalPositive("request_ring_bytes")
            } else if name.equals("reply_ring_bytes") {
                replyRingByteCount = try fields.optionalPositive("reply_ring_bytes")
            } else {
                try fields.reader.skip()
            }
        }
    }

    /// Writes the data of a request from a client that takes integers of any size.
    public static func write(
        client: String?, notices: Bool, descriptors: Bool = false, sharedMemory: Bool = false,
        _ writer: inout RequestWriter, _ output: inout ByteBuffer
    ) {
        writer.optional("client", client, into: &output)
        writer.field("notices", notices, into: &output)
        if descriptors { writer.field("descriptors", true, into: &output) }
        if sharedMemory { writer.optional("transport", "\(Self.sharedMemory)", into: &output) }
    }

    private static func readVersions(_ fields: inout FieldReader) throws(DecodeError) -> Bool {
        if fields.skipNull() { return true }
        let count = try fields.reader.readArray("protocol")
        var found = false
        for _ in 0..<count {
            let start = fields.reader.offset
            switch try fields.reader.next() {
            case .integer(let version): found = found || version == WireLimits.protocolVersion
            case .unsigned: break
            case .null, .bool, .real, .text, .binary, .array, .map, .ext:
                throw DecodeError(.wrongType(field: "protocol", wanted: "an array of integers"), at: start)
            }
        }
        return found
    }

    private static func readTransport(_ fields: inout FieldReader) throws(DecodeError) -> Bool {
        let start = fields.reader.offset
        guard let name = try fields.optionalText("transport"), !name.equals(socket) else { return false }
        guard name.equals(sharedMemory) else {
            throw DecodeError(.outOfRange(field: "transport", wanted: "\"socket\" or \"shared_memory\""), at: start)
        }
        return true
    }

    /// The name of the transport through shared memory.
    public static let sharedMemory: StaticString = "shared_memory"
    public static let socket: StaticString = "socket"

    private static func readStyle(_ fields: inout FieldReader) throws(DecodeError) -> Int64Style {
        let start = fields.reader.offset
        guard let name = try fields.optionalText("int64") else { return .tagged }
        guard let style = Int64Style(name: name) else {
            throw DecodeError(.outOfRange(field: "int64", wanted: "\"tagged\", \"number\" or \"string\""), at: start)
        }
        return style
    }
}

/// What the client may know of the daemon, and how the daemon identifies it.
public struct HelloReply: ReplyData {
    public var version = ""
    public var protocolVersion: Int64 = 0
    /// By the names of the settings.
    public var limits = NamedValues<Int64>()
    /// `nil` over TCP.
    public var peer: Peer?
    public var isAdministrator = false
    /// Whether it may only watch; absent if not.
    public var isMonitor: Bool?
    /// Whether the client may send descriptors along; absent if not.
    public var takesDescriptors: Bool?
    /// Behind this reply, messages go through shared memory; absent if not.
    public var transport: String?
    /// The sizes of its rings.
    public var requestRingByteCount: Int64?
    public var replyRingByteCount: Int64?

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("version", &version)
        visitor.field("protocol", &protocolVersion)
        visitor.field("limits", &limits)
        visitor.field("peer", &peer)
        visitor.field("administrator", &isAdministrator)
        visitor.optional("monitor", &isMonitor)
        visitor.optional("descriptors", &takesDescriptors)
        visitor.optional("transport", &transport)
        visitor.optional("request_ring_bytes", &requestRingByteCount)
        visitor.optional("reply_ring_bytes", &replyRingByteCount)
    }

    /// The peer's process, according to the kernel.
    public struct Peer: ReplyData {
        public var uid: Int64 = 0
        public var gid: Int64 = 0
        public var pid: Int64 = 0
        /// `nil` for a user without a name.
        public var user: String?

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("uid", &uid)
            visitor.field("gid", &gid)
            visitor.field("pid", &pid)
            visitor.field("user", &user)
        }
    }
}
