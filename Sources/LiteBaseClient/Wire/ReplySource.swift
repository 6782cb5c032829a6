// Replies are read from structured values.

internal import WireProtocol

/// A structured value as the fields of a reply are read from it.
struct ReplySource: FieldSource {
    let value: StructuredValue

    init(_ value: StructuredValue) { self.value = value }

    func member(_ key: StaticString) -> ReplySource? { value.member(key).map(ReplySource.init) }

    var members: [(key: String, value: ReplySource)]? { value.members?.map { ($0.key, ReplySource($0.value)) } }
    var elements: [ReplySource]? { value.elements?.map(ReplySource.init) }
    var isNull: Bool {
        if case .value(.null) = value { true } else { false }
    }
    var text: String? { value.text }
    var integer: Int64? { value.integer }
    var bool: Bool? { value.bool }
}

extension ReplyData {
    /// Reads the data of a reply.
    init(_ data: StructuredValue) { self.init(reading: ReplySource(data)) }
}

extension StructuredValue {
    /// Member of a map, by a key of the protocol's.
    func member(_ key: StaticString) -> StructuredValue? {
        guard case .map(let members) = self else { return nil }
        let wanted = UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
        return members.first { $0.key.utf8.elementsEqual(wanted) }?.value
    }
}
