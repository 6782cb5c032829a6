// Parameters in the form that libmariadb takes them: addresses of values, which it reads when the statement is executed.

internal import CMariaDB

/// Storage for the parameters of one execution.
struct MySQLParameters: ~Copyable {
    private var binds: [my_bind] = []
    /// Values of eight bytes: integers and doubles.
    private var words: [UInt64] = []

    private enum Code {
        static let tiny: UInt32 = 1
        static let double: UInt32 = 5
        static let null: UInt32 = 6
        static let longLong: UInt32 = 8
        static let blob: UInt32 = 252
        static let string: UInt32 = 253
    }

    /// Calls `body`, which executes the statement, with the parameters bound to it; texts and blobs stay where they are.
    mutating func bind<Value>(
        _ parameters: [DriverParameter], to statement: OpaquePointer, _ body: () -> Value
    ) -> Value? {
        binds.removeAll(keepingCapacity: true)
        words.removeAll(keepingCapacity: true)
        for parameter in parameters { append(parameter.value) }
        return words.withUnsafeMutableBytes { words in
            binds.withUnsafeMutableBufferPointer { binds in
                for index in binds.indices where binds[index].buffer == nil {
                    binds[index].buffer = words.baseAddress.map { $0 + index * MemoryLayout<UInt64>.stride }
                }
                guard my_stmt_bind_param(statement, binds.baseAddress) == 0 else { return nil }
                return body()
            }
        }
    }

    private mutating func append(_ value: DriverValue) {
        var bind = my_bind()
        var word: UInt64 = 0
        switch value {
        case .null: bind.buffer_type = Code.null
        case .bool(let value):
            bind.buffer_type = Code.tiny
            word = (value ? 1 : 0 as UInt64).littleEndian
        case .integer(let value):
            bind.buffer_type = Code.longLong
            word = UInt64(bitPattern: value)
        case .unsigned(let value):
            bind.buffer_type = Code.longLong
            bind.is_unsigned = 1
            word = value
        case .real(let value):
            bind.buffer_type = Code.double
            word = value.bitPattern
        case .text(let bytes): set(&bind, Code.string, bytes)
        case .blob(let bytes): set(&bind, Code.blob, bytes)
        }
        binds.append(bind)
        words.append(word)
    }

    // An empty text may have no address; then that of the unused word is taken.
    private func set(_ bind: inout my_bind, _ type: UInt32, _ bytes: UnsafeRawBufferPointer) {
        bind.buffer_type = type
        bind.buffer = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        bind.buffer_length = UInt(bytes.count)
    }
}
