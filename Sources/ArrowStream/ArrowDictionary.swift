// The values of columns that have numbers of them.

internal import ByteBuffers

/// The values to which the numbers of a column lead; others may be added.
///
/// - Thread: that of its reader.
final class ArrowDictionary {
    let form: ArrowForm
    private var entries: [Entry] = []
    /// What texts and blobs are, one behind the other.
    private var bytes = ByteBuffer()

    private enum Kind: UInt8 { case null, bool, integer, unsigned, real, text, blob, notUTF8, notATime }

    private struct Entry {
        var kind: Kind
        var bits: UInt64 = 0
        var byteCount = 0
    }

    init(_ form: ArrowForm) { self.form = form }

    /// Bytes of memory.
    var heldByteCount: Int { entries.capacity * MemoryLayout<Entry>.stride + bytes.capacity }

    /// Bytes of memory once there is another value of so many bytes.
    func heldByteCount(with byteCount: Int) -> Int {
        let more = entries.count == entries.capacity ? max(16, entries.count) * MemoryLayout<Entry>.stride : 0
        let needed = bytes.count + byteCount
        return heldByteCount + more + (needed > bytes.capacity ? max(needed, 2 * bytes.capacity) - bytes.capacity : 0)
    }

    func removeAll() {
        entries = []
        bytes.releaseStorage()
    }

    func append(_ value: ArrowValue) {
        switch value {
        case .null: entries.append(Entry(kind: .null))
        case .bool(let value): entries.append(Entry(kind: .bool, bits: value ? 1 : 0))
        case .integer(let value): entries.append(Entry(kind: .integer, bits: UInt64(bitPattern: value)))
        case .unsigned(let value): entries.append(Entry(kind: .unsigned, bits: value))
        case .real(let value): entries.append(Entry(kind: .real, bits: value.bitPattern))
        case .text(let text): append(.text, text)
        case .blob(let blob): append(.blob, blob)
        case .invalid(.notUTF8): entries.append(Entry(kind: .notUTF8))
        case .invalid(.notATime): entries.append(Entry(kind: .notATime))
        }
    }

    private func append(_ kind: Kind, _ value: UnsafeRawBufferPointer) {
        entries.append(Entry(kind: kind, bits: UInt64(bytes.count), byteCount: value.count))
        bytes.append(value)
    }

    /// - Returns: `nil` where there is none.
    func value(_ place: Int) -> ArrowValue? {
        guard entries.indices.contains(place) else { return nil }
        let entry = entries[place]
        switch entry.kind {
        case .null: return .null
        case .bool: return .bool(entry.bits != 0)
        case .integer: return .integer(Int64(bitPattern: entry.bits))
        case .unsigned: return .unsigned(entry.bits)
        case .real: return .real(Double(bitPattern: entry.bits))
        case .text: return .text(bytes(of: entry))
        case .blob: return .blob(bytes(of: entry))
        case .notUTF8: return .invalid(.notUTF8)
        case .notATime: return .invalid(.notATime)
        }
    }

    private func bytes(of entry: Entry) -> UnsafeRawBufferPointer {
        let start = Int(entry.bits)
        return UnsafeRawBufferPointer(rebasing: bytes.readable[start..<(start + entry.byteCount)])
    }
}
