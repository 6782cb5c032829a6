// The memory of an index: texts, each once, and lists of them.

internal import ByteBuffers

/// Texts, each once, with their lengths in front; and lists of their places.
///
/// - Layout: a text's place leads to its length, 7 bits in each byte, the lowest first, the last without the high bit; then come its
///   bytes. A list's place leads to its count, then its texts. Place 0 of each is nothing.
struct CatalogPool: ~Copyable {
    private var texts = ByteBuffer()
    private var definitions = ByteBuffer()
    private(set) var words: [UInt32] = [0]

    init() {
        texts.append(0 as UInt8)
        definitions.append(0 as UInt8)
    }

    /// Bytes that it needs.
    var byteCount: Int { texts.count + definitions.count + words.count * MemoryLayout<UInt32>.stride }

    // MARK: Texts

    /// Appends a text, whatever is there already.
    mutating func append(_ bytes: UnsafeRawBufferPointer) -> CatalogText {
        CatalogText(place: Self.append(bytes, to: &texts))
    }

    mutating func append(definition bytes: UnsafeRawBufferPointer) -> CatalogDefinition {
        CatalogDefinition(place: Self.append(bytes, to: &definitions))
    }

    var definitionsByteCount: Int { definitions.count }
    mutating func truncateDefinitions(to byteCount: Int) { definitions.truncate(to: byteCount) }

    private static func append(_ bytes: UnsafeRawBufferPointer, to buffer: inout ByteBuffer) -> UInt32 {
        let place = UInt32(buffer.count)
        var length = bytes.count
        while length >= 0x80 {
            buffer.append(UInt8(length & 0x7f | 0x80))
            length >>= 7
        }
        buffer.append(UInt8(length))
        buffer.append(bytes)
        return place
    }

    /// The bytes of a text, valid until the next change; none for null.
    @inline(__always)
    func bytes(_ text: CatalogText) -> UnsafeRawBufferPointer { Self.bytes(at: text.place, of: texts.readable) }

    func bytes(_ definition: CatalogDefinition) -> UnsafeRawBufferPointer {
        Self.bytes(at: definition.place, of: definitions.readable)
    }

    @inline(__always)
    private static func bytes(at place: UInt32, of all: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard place != 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        var index = Int(place)
        var byte = all[index]
        var (length, shift) = (Int(byte & 0x7f), 7)
        index += 1
        while byte & 0x80 != 0 {
            byte = all[index]
            length |= Int(byte & 0x7f) << shift
            shift += 7
            index += 1
        }
        return UnsafeRawBufferPointer(rebasing: all[index..<index + length])
    }

    /// Hashes of everything but definitions, and of these.
    var digests: (content: UInt64, definitions: UInt64) {
        let content = words.withUnsafeBytes { $0.mixed(texts.readable.mixed(1)) }
        return (content, definitions.readable.mixed(1))
    }

    // MARK: Lists

    mutating func append(_ list: [CatalogText]) -> CatalogList {
        let place = UInt32(words.count)
        words.append(UInt32(list.count))
        for text in list { words.append(text.place) }
        return CatalogList(place: place)
    }

    func count(_ list: CatalogList) -> Int { list.isNone ? 0 : Int(words[Int(list.place)]) }

    func item(_ list: CatalogList, _ index: Int) -> CatalogText {
        precondition(index >= 0 && index < count(list), "a list of the catalog is shorter")
        return CatalogText(place: words[Int(list.place) + 1 + index])
    }
}
