// Parameters in the form that libpq takes them: text that the server reads by the type that it infers, blobs as they are.

internal import ByteBuffers
internal import CNumbers
internal import CPostgreSQL

/// Storage for the texts and parameters of one statement, used again for the next one.
struct PostgreSQLParameters: ~Copyable {
    /// All texts, each with a NUL behind it.
    private var storage = ByteBuffer()
    private var offsets: [Int] = []
    private var values: [UnsafePointer<CChar>?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []
    private var types: [UInt32] = []

    private static let byteaOID: UInt32 = 17
    private static let keptByteCountMax = 64 << 10

    /// Calls `PQsendQueryParams`; its result is 1 when that took everything over.
    mutating func send(_ handle: OpaquePointer, _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter]) -> Int32
    {
        fill(sql, parameters)
        defer { if storage.capacity > Self.keptByteCountMax { storage.releaseStorage() } }
        guard let start = storage.readable.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
        for (index, offset) in offsets.enumerated() { values[index] = offset < 0 ? nil : start + offset }
        return pq_sendQueryParams(handle, start, Int32(offsets.count), types, values, lengths, formats, 0)
    }

    /// Calls `PQsendPrepare` for the unnamed statement.
    mutating func sendPrepare(_ handle: OpaquePointer, _ sql: UnsafeRawBufferPointer) -> Int32 {
        fill(sql, [])
        guard let start = storage.readable.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
        return pq_sendPrepare(handle, "", start, 0, nil)
    }

    private mutating func fill(_ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter]) {
        storage.removeAll()
        offsets.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        formats.removeAll(keepingCapacity: true)
        types.removeAll(keepingCapacity: true)
        storage.append(sql)
        storage.append(0)
        for parameter in parameters { append(parameter.value) }
    }

    private mutating func append(_ value: DriverValue) {
        let offset = storage.count
        var isBinary = false
        var isNull = false
        switch value {
        case .null: isNull = true
        case .bool(let value): storage.append(value ? "true" : "false" as StaticString)
        case .integer(let value): storage.append("\(value)" as String)
        case .unsigned(let value): storage.append("\(value)" as String)
        case .real(let value): append(value)
        case .text(let bytes): storage.append(bytes)
        case .blob(let bytes):
            storage.append(bytes)
            isBinary = true
        }
        offsets.append(isNull ? -1 : offset)
        values.append(nil)
        lengths.append(Int32(clamping: storage.count - offset))
        formats.append(isBinary ? 1 : 0)
        types.append(isBinary ? Self.byteaOID : 0)
        storage.append(0)
    }

    private mutating func append(_ value: Double) {
        guard value.isFinite else {
            return storage.append(value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity" as StaticString)
        }
        let target = storage.writable(Int(CNUMBERS_DOUBLE_BYTE_COUNT_MAX))
        guard let start = target.baseAddress else { return }
        storage.commit(cnumbers_format_double(value, start.assumingMemoryBound(to: CChar.self)))
    }
}
