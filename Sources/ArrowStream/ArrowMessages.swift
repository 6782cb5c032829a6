// The messages of a stream: its schema, the head of a batch, its end.

internal import ByteBuffers

/// What stands before the buffers of a stream.
///
/// - Source: https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format ; format/Schema.fbs and format/Message.fbs
///   of Apache Arrow, version 1.5 of its metadata.
enum ArrowMessages {
    /// `MetadataVersion.V5`.
    private static let version: Int16 = 4
    private static let continuation: UInt32 = .max

    /// Kinds of messages (`MessageHeader`).
    private enum Kind: UInt8 {
        case schema = 1
        case recordBatch = 3
    }

    static func writeSchema(_ fields: [(name: String, type: ArrowType)], into output: inout ByteBuffer) {
        write(.schema, bodyByteCount: 0, into: &output) { buffer, header in
            // Byte order (little, the default), fields.
            let schema = buffer.table([.absent, .reference], for: header)
            let places = buffer.list(fields.count, for: schema[0])
            for (field, place) in zip(fields, places) { writeField(field.name, field.type, &buffer, place) }
        }
    }

    /// Writes what precedes the buffers of a batch.
    /// - Parameters:
    ///   - rowCount: rows of the batch.
    ///   - nodes: of each column, how many values and how many nulls it has.
    ///   - buffers: of each buffer, where it begins in the body, and how many bytes it has.
    ///   - bodyByteCount: bytes of all buffers, with what is between them.
    ///   - output: the stream.
    static func writeBatchHead(
        rowCount: Int, nodes: [(Int64, Int64)], buffers: [(Int64, Int64)], bodyByteCount: Int,
        into output: inout ByteBuffer
    ) {
        write(.recordBatch, bodyByteCount: bodyByteCount, into: &output) { buffer, header in
            let batch = buffer.table([.long(Int64(rowCount)), .reference, .reference], for: header)
            buffer.pairs(nodes, for: batch[0])
            buffer.pairs(buffers, for: batch[1])
        }
    }

    static func writeEnd(into output: inout ByteBuffer) {
        output.appendLittleEndian(continuation)
        output.appendLittleEndian(UInt32(0))
    }

    private static func write(
        _ kind: Kind, bodyByteCount: Int, into output: inout ByteBuffer,
        _ writeHeader: (inout FlatBuffer, FlatBuffer.Reference) -> Void
    ) {
        var buffer = FlatBuffer()
        let message = buffer.table(
            [.short(version), .byte(kind.rawValue), .reference, .long(Int64(bodyByteCount))], for: buffer.root)
        writeHeader(&buffer, message[0])
        output.appendLittleEndian(continuation)
        // With the two numbers before it, it ends at a multiple of 8, where the body begins.
        let padding = -buffer.bytes.count & 7
        output.appendLittleEndian(UInt32(truncatingIfNeeded: buffer.bytes.count + padding))
        output.append(buffer.bytes)
        output.appendZeros(padding)
    }

    // MARK: Fields

    private static func writeField(
        _ name: String, _ type: ArrowType, _ buffer: inout FlatBuffer, _ place: FlatBuffer.Reference
    ) {
        // Name, nullable, kind of type, type, dictionary, children, which readers want to be there.
        let field = buffer.table(
            [.reference, .byte(1), .byte(number(of: type)), .reference, .absent, .reference], for: place)
        buffer.text(name, for: field[0])
        let references = buffer.table(fields(of: type), for: field[1])
        if let zone = references.first { buffer.text("UTC", for: zone) }
        _ = buffer.list(0, for: field[2])
    }

    /// Its place in the union `Type`.
    private static func number(of type: ArrowType) -> UInt8 {
        switch type {
        case .null: 1
        case .int64, .uint64: 2
        case .float64: 3
        case .binary: 4
        case .utf8: 5
        case .bool: 6
        case .decimal128: 7
        case .date32: 8
        case .time64: 9
        case .timestamp: 10
        case .duration: 18
        }
    }

    /// `TimeUnit.MICROSECOND`.
    private static let microsecond: Int16 = 2

    private static func fields(of type: ArrowType) -> [FlatBuffer.Field] {
        switch type {
        case .null, .binary, .utf8, .bool: []
        case .int64: [.int(64), .byte(1)]
        case .uint64: [.int(64), .absent]
        // `Precision.DOUBLE`.
        case .float64: [.short(2)]
        case .decimal128(let precision, let scale): [.int(Int32(precision)), .int(Int32(scale))]
        // `DateUnit.DAY`, which is not the default.
        case .date32: [.short(0)]
        case .time64: [.short(microsecond), .int(64)]
        case .timestamp(let isUTC): isUTC ? [.short(microsecond), .reference] : [.short(microsecond)]
        case .duration: [.short(microsecond)]
        }
    }
}
