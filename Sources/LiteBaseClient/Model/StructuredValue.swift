// Values with structure, for replies whose shape grows with the server (`stats`) and for decoding in general.

/// A value, a list or a map of values.
public indirect enum StructuredValue: Sendable {
    case value(Value)
    case array([StructuredValue])
    /// In the order of the reply.
    case map([(key: String, value: StructuredValue)])

    /// Member of a map; `nil` when there is none or this is no map.
    public subscript(key: String) -> StructuredValue? {
        guard case .map(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    public var elements: [StructuredValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    public var members: [(key: String, value: StructuredValue)]? {
        if case .map(let members) = self { members } else { nil }
    }

    /// The plain value; `nil` for a list, a map and null.
    public var value: Value? {
        if case .value(let value) = self, !value.isNull { value } else { nil }
    }

    public var text: String? { value?.text }
    public var integer: Int64? { value?.integer }
    public var bool: Bool? { value?.bool }
}
