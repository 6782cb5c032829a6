// What must hold for a stream of Arrow, whoever has written it.

internal import ArrowStream
internal import ByteBuffers

/// Traps when something does not hold that must.
public enum ArrowChecks {
    /// The rows of a stream, as they were found.
    private struct Found: Equatable {
        var names: [[UInt8]] = []
        var rows: [[UInt8]] = []
        var reason: String?
    }

    /// Whatever the bytes are: what is found does not depend on the pieces in which they come, texts are UTF-8, and no more memory
    /// is held than was allowed.
    public static func check(_ bytes: UnsafeRawBufferPointer) {
        let whole = find(bytes, pieceByteCount: .max)
        for pieceByteCount in [1, 7] where find(bytes, pieceByteCount: pieceByteCount) != whole {
            preconditionFailure("the rows depend on the pieces")
        }
    }

    /// The rows of a stream, each as text.
    /// - Returns: the names of the columns, the rows, and what has ended them.
    public static func rows(of bytes: UnsafeRawBufferPointer) -> (names: [[UInt8]], rows: [[UInt8]], reason: String?) {
        let found = find(bytes, pieceByteCount: .max)
        return (found.names, found.rows, found.reason)
    }

    private static let heldByteCountMax = 1 << 20
    /// A few bytes may claim very many nulls.
    private static let rowCountMax = 200
    private static let valueByteCountMax = 1 << 20

    private static func find(_ bytes: UnsafeRawBufferPointer, pieceByteCount: Int) -> Found {
        var (found, offset, valueByteCount) = (Found(), 0, 0)
        let reader = ArrowReader(columnCountMax: 1_000) { $0 <= heldByteCountMax }
        do throws(ArrowReadError) {
            while found.rows.count < rowCountMax, valueByteCount < valueByteCountMax {
                precondition(reader.heldByteCount <= heldByteCountMax, "more is held than is allowed")
                switch reader.state {
                case .ended: return found
                case .waiting:
                    let room = try reader.room()
                    precondition(!room.isEmpty, "there is no room for what is wanted")
                    let count = min(room.count, pieceByteCount, bytes.count - offset)
                    room.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]))
                    offset += count
                    if count == 0 { try reader.end() } else { try reader.didFill(count) }
                    found.names = reader.fields?.map(\.name) ?? []
                case .rows:
                    for row in 0..<min(reader.rowCount, rowCountMax) {
                        let spelled = try spell(row, reader)
                        valueByteCount += spelled.count
                        found.rows.append(spelled)
                        if valueByteCount > valueByteCountMax { break }
                    }
                    reader.nextBatch()
                }
            }
        } catch {
            found.reason = error.reason
        }
        return found
    }

    private static func spell(_ row: Int, _ reader: ArrowReader) throws(ArrowReadError) -> [UInt8] {
        var spelled: [UInt8] = []
        for (column, field) in (reader.fields ?? []).enumerated() {
            if case .other = field.content { continue }
            if !spelled.isEmpty { spelled.append(UInt8(ascii: "|")) }
            switch try reader.value(row, column) {
            case .null: spelled += "null".utf8
            case .bool(let value): spelled += "\(value)".utf8
            case .integer(let value): spelled += "\(value)".utf8
            case .unsigned(let value):
                precondition(value > UInt64(Int64.max), "an integer that has a sign")
                spelled += "\(value)u".utf8
            case .real(let value): spelled += "\(value)".utf8
            case .text(let bytes):
                precondition(isValidUTF8(bytes), "a text that is not UTF-8")
                spelled += "'".utf8
                spelled += bytes.prefix(valueByteCountMax)
            case .blob(let bytes):
                spelled += "x".utf8
                spelled += bytes.prefix(valueByteCountMax)
            case .invalid(let what): spelled += "\(what)".utf8
            }
        }
        return spelled
    }
}
