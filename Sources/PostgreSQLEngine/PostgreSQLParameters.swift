// Parameters in the form that libpq takes them: text that the server reads by the type that it infers, blobs as they are.

internal import ByteBuffers
internal import CNumbers
internal import CPostgreSQL
internal import DatabaseContract
internal import RemoteDatabases

/// Storage for the texts and parameters of one statement, used again for the next one.
struct PostgreSQLParameters: ~Copyable {
    /// The values' texts, each with a NUL behind it, then the statement's.
    private var storage = ByteBuffer()
    private var offsets: [Int] = []
    private var values: [UnsafePointer<CChar>?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []

    private static let byteaOID: UInt32 = 17
    private static let keptByteCountMax = 64 << 10

    /// Types as they are sent: 0 where the server infers one.
    private(set) var types: [UInt32] = []

    /// Bytes of the values, and of the text that was sent with them.
    var byteCount: Int { storage.count }

    /// Takes the values of the next statement.
    mutating func fill(_ parameters: [DriverParameter]) {
        storage.removeAll()
        trim()
        offsets.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        formats.removeAll(keepingCapacity: true)
        types.removeAll(keepingCapacity: true)
        for parameter in parameters { append(parameter.value) }
    }

    /// Gives back the storage of a long statement.
    mutating func trim() {
        if storage.capacity > Self.keptByteCountMax { storage.releaseStorage() }
    }

    // libpq takes each of these over, or returns something else than 1.

    /// Sends the statement with its values, without a name (`PQsendQueryParams`).
    mutating func send(_ handle: OpaquePointer, _ sql: UnsafeRawBufferPointer) -> Int32 {
        let text = terminated(sql)
        locateValues()
        return libpq.PQsendQueryParams(handle, text, Int32(offsets.count), types, values, lengths, formats, 0)
    }

    /// Sends the text as it is, without values (`PQsendQuery`): the server runs each statement in it.
    mutating func sendSimple(_ handle: OpaquePointer, _ sql: UnsafeRawBufferPointer) -> Int32 {
        libpq.PQsendQuery(handle, terminated(sql))
    }

    /// Makes the statement the one without a name, with the types of the values (`PQsendPrepare`).
    mutating func sendPrepare(_ handle: OpaquePointer, _ sql: UnsafeRawBufferPointer) -> Int32 {
        libpq.PQsendPrepare(handle, "", terminated(sql), Int32(types.count), types)
    }

    /// Runs the statement without a name with the values (`PQsendQueryPrepared`).
    mutating func sendPrepared(_ handle: OpaquePointer) -> Int32 {
        locateValues()
        return libpq.PQsendQueryPrepared(handle, "", Int32(offsets.count), values, lengths, formats, 0)
    }

    /// Puts the text behind the values, with a NUL.
    private mutating func terminated(_ sql: UnsafeRawBufferPointer) -> UnsafePointer<CChar> {
        let start = storage.count
        storage.reserve(sql.count + 1)
        storage.append(sql)
        storage.append(0)
        // There is an address: the NUL at least was appended.
        return (storage.readable.baseAddress.unsafelyUnwrapped + start).assumingMemoryBound(to: CChar.self)
    }

    private mutating func locateValues() {
        guard let start = storage.readable.baseAddress?.assumingMemoryBound(to: CChar.self) else { return }
        for (index, offset) in offsets.enumerated() { values[index] = offset < 0 ? nil : start + offset }
    }

    private mutating func append(_ value: DriverValue) {
        let offset = storage.count
        var isBinary = false
        var isNull = false
        switch value {
        case .null: isNull = true
        case .bool(let value): storage.append(value ? "true" : "false" as StaticString)
        case .integer(let value): append(value)
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

    private mutating func append(_ value: Int64) {
        // At most 19 digits and a sign, from the last one on.
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { digits in
            var start = digits.count
            var rest = value.magnitude
            repeat {
                start -= 1
                digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            if value < 0 {
                start -= 1
                digits[start] = UInt8(ascii: "-")
            }
            storage.append(UnsafeRawBufferPointer(rebasing: digits[start...]))
        }
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
