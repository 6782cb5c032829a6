// Parameters in the form that libmariadb takes them: addresses of values, which it reads when the statement is executed.

internal import CMariaDB
internal import DatabaseContract
internal import RemoteDatabases

/// Storage for the parameters of one execution.
struct MySQLParameters: ~Copyable {
    private var binds: [MYSQL_BIND] = []
    /// Values of eight bytes: integers and doubles. They stay in their place until the statement is executed.
    private var words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 0)
    /// Parameters whose values go before the statement, the next one last.
    private var ahead: [Int] = []
    /// Bytes of that one's value that were sent.
    private var offset = 0

    /// Bytes of values that are sent with the statement: libmariadb copies them, and others have their turn before and behind that.
    private static let boundByteCountMax = 256 << 10
    private static let pieceByteCountMax = 256 << 10

    deinit { words.deallocate() }

    /// Binds the parameters to the statement, which is executed when there is no piece left; texts and blobs stay where they are.
    /// - Returns: false when libmariadb refuses them.
    mutating func bind(_ parameters: [DriverParameter], to statement: UnsafeMutablePointer<MYSQL_STMT>) -> Bool {
        binds.removeAll(keepingCapacity: true)
        words.deallocate()
        words = .allocate(capacity: parameters.count)
        ahead.removeAll()
        var byteCount = 0
        for (index, parameter) in parameters.enumerated() {
            append(parameter.value)
            let length = Int(binds[index].buffer_length)
            if length == 0 || byteCount + length <= Self.boundByteCountMax {
                byteCount += length
            } else {
                ahead.append(index)
            }
        }
        ahead.reverse()
        offset = 0
        return binds.withUnsafeMutableBufferPointer {
            libmariadb.mysql_stmt_bind_param(statement, $0.baseAddress) == 0
        }
    }

    /// The next piece of a value that is to be sent before the statement is executed; `nil` when there is none left.
    mutating func nextPiece() -> (parameter: UInt32, bytes: UnsafeRawBufferPointer)? {
        guard let index = ahead.last else { return nil }
        let value = UnsafeRawBufferPointer(start: binds[index].buffer, count: Int(binds[index].buffer_length))
        let piece = value[offset...].prefix(Self.pieceByteCountMax)
        offset = piece.endIndex
        if offset == value.count {
            ahead.removeLast()
            offset = 0
        }
        return (UInt32(index), UnsafeRawBufferPointer(rebasing: piece))
    }

    private mutating func append(_ value: DriverValue) {
        var bind = MYSQL_BIND()
        var word: UInt64 = 0
        switch value {
        case .null: bind.buffer_type = MYSQL_TYPE_NULL
        case .bool(let value):
            bind.buffer_type = MYSQL_TYPE_TINY
            word = (value ? 1 : 0 as UInt64).littleEndian
        case .integer(let value):
            bind.buffer_type = MYSQL_TYPE_LONGLONG
            word = UInt64(bitPattern: value)
        case .unsigned(let value):
            bind.buffer_type = MYSQL_TYPE_LONGLONG
            bind.is_unsigned = 1
            word = value
        case .real(let value):
            bind.buffer_type = MYSQL_TYPE_DOUBLE
            word = value.bitPattern
        case .text(let bytes): set(&bind, MYSQL_TYPE_VAR_STRING, bytes)
        case .blob(let bytes): set(&bind, MYSQL_TYPE_BLOB, bytes)
        }
        let place = words.baseAddress.map { $0 + binds.count }
        place?.initialize(to: word)
        if bind.buffer == nil { bind.buffer = UnsafeMutableRawPointer(place) }
        binds.append(bind)
    }

    // An empty text may have no address; then that of the unused word is taken.
    private func set(_ bind: inout MYSQL_BIND, _ type: enum_field_types, _ bytes: UnsafeRawBufferPointer) {
        bind.buffer_type = type
        bind.buffer = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        bind.buffer_length = UInt(bytes.count)
    }
}
