// Reads the parts of a reply that a load generator needs: which request, whether it is the last frame, whether it
// failed.

internal import WireProtocol

/// What one frame says about its request.
struct ScannedReply {
    /// The request's id; `nil` when there is none.
    var id: UInt32?
    /// Whether nothing more comes for this request.
    var isLast = true
    /// Of the last frame of a statement.
    var rowCount: UInt64 = 0
    var isError = false

    /// Reads a frame's body. Other parts are skipped without a check.
    /// - Throws: `DecodeError` where the bytes are not MessagePack.
    init(_ body: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = MessagePackReader(body)
        var isStatement = false
        for _ in 0..<(try reader.readMap("message")) {
            let key = try reader.readText("key")
            if key.equals("id") {
                if case .integer(let id) = try reader.next() { self.id = UInt32(exactly: id) }
            } else if key.equals("type") {
                let type = try reader.readText("type")
                isError = type.equals(ErrorReply.typeName)
                isStatement = type.equals(QueryRequest.type.replyName)
                // The rest of every other reply is of no interest, and the daemon writes the id first.
                if id != nil, !isStatement { return }
            } else if key.equals("data"), isStatement {
                try scanData(&reader)
            } else {
                try reader.skip()
            }
        }
    }

    private mutating func scanData(_ reader: inout MessagePackReader) throws(DecodeError) {
        for _ in 0..<(try reader.readMap("data")) {
            let key = try reader.readText("key")
            if key.equals("more") {
                if case .bool(true) = try reader.next() { isLast = false }
            } else if key.equals("row_count") {
                if case .integer(let count) = try reader.next() { rowCount = UInt64(clamping: count) }
            } else {
                try reader.skip()
            }
        }
    }

    /// Code and message of an `error`.
    static func error(in body: UnsafeRawBufferPointer) -> (code: String, message: String) {
        var (code, message) = ("internal", "")
        try? visitData(body) { (key, reader) throws(DecodeError) in
            if key.equals("code") {
                code = String(decoding: try reader.readText("code"), as: UTF8.self)
            } else if key.equals("message") {
                message = String(decoding: try reader.readText("message"), as: UTF8.self)
            } else {
                try reader.skip()
            }
        }
        return (code, message)
    }

    private static func visitData(
        _ body: UnsafeRawBufferPointer,
        _ visit: (UnsafeRawBufferPointer, inout MessagePackReader) throws(DecodeError) -> Void
    ) throws(DecodeError) {
        var reader = MessagePackReader(body)
        for _ in 0..<(try reader.readMap("message")) {
            guard try reader.readText("key").equals("data") else {
                try reader.skip()
                continue
            }
            for _ in 0..<(try reader.readMap("data")) { try visit(try reader.readText("key"), &reader) }
        }
    }
}
