// The fields of a column, as `query_response` and `describe_response` have them.

internal import ByteBuffers
internal import DatabaseDrivers
internal import WireProtocol

extension MessageWriter {
    /// Writes `name`, `type` and `declared_type` into the open map.
    mutating func column(_ column: ColumnDescription, into output: inout ByteBuffer) {
        key("name", into: &output)
        column.name.withUnsafeBytes { text($0, into: &output) }
        key("type", into: &output)
        text(column.type, into: &output)
        key("declared_type", into: &output)
        if let declared = column.declaredType { text(declared, into: &output) } else { null(into: &output) }
    }
}
