// Rows of libmariadb's results on their way into the sink. Both protocols, that of text and that of prepared statements,
// give the same values: a column reads the same whether its statement has parameters or not.

internal import ByteBuffers
internal import CMariaDB
internal import CNumbers
internal import DatabaseContract
internal import RemoteDatabases

/// Reads the values of one result by its columns.
struct MySQLRows: ~Copyable {
    private var columns: [MySQLColumn] = []
    private var scratch = ByteBuffer()
    /// Of the values of the last row that was pushed, those of fixed size apart.
    private(set) var byteCount = 0

    private static let keptByteCountMax = 64 << 10
    private static let firstByteCount = 256
    /// Seconds have this many digits at most; more as `decimals` means "as many as there are".
    private static let fractionDigitCountMax: UInt32 = 6

    /// Takes over the columns of a result, or of a prepared statement's description.
    mutating func begin(_ result: UnsafeMutablePointer<MYSQL_RES>) -> [ColumnDescription] {
        columns.removeAll(keepingCapacity: true)
        guard let fields = libmariadb.mysql_fetch_fields(result) else { return [] }
        return (0..<Int(libmariadb.mysql_num_fields(result))).map { index in
            let field = fields[index]
            columns.append(MySQLTypes.column(field))
            let isOfTable = field.org_table.map { $0.pointee != 0 } ?? false
            return ColumnDescription(
                name: field.name.map { Array(UnsafeRawBufferPointer(start: $0, count: length(of: $0))) } ?? [],
                type: MySQLTypes.protocolName(field), declaredType: isOfTable ? MySQLTypes.name(field) : nil,
                detail: MySQLTypes.detail(field))
        }
    }

    private func length(of text: UnsafePointer<CChar>) -> Int {
        var length = 0
        while text[length] != 0 { length += 1 }
        return length
    }

    private mutating func end(_ sink: RowSink) -> RowSink.State {
        if scratch.capacity > Self.keptByteCountMax { scratch.releaseStorage() }
        return sink.endRow()
    }

    // MARK: Long rows

    /// How long a row is.
    func length(_ lengths: UnsafePointer<UInt>) -> Int {
        var byteCount: UInt = 0
        for index in columns.indices { byteCount &+= lengths[index] }
        return Int(clamping: byteCount)
    }

    /// The same for the row that a prepared statement has fetched.
    func length(_ statement: UnsafeMutablePointer<MYSQL_STMT>) -> Int {
        var byteCount: UInt = 0
        for index in columns.indices where columns[index].mayBeLong {
            var length: UInt = 0
            var isNull: my_bool = 0
            let failed = withUnsafeMutablePointer(to: &length) { length in
                withUnsafeMutablePointer(to: &isNull) { isNull in
                    // With no room, it only says how long the value is.
                    var bind = MYSQL_BIND()
                    bind.buffer_type = MYSQL_TYPE_BLOB
                    bind.length = length
                    bind.is_null = isNull
                    return libmariadb.mysql_stmt_fetch_column(statement, &bind, UInt32(index), 0) != 0
                }
            }
            if !failed, isNull == 0 { byteCount &+= length }
        }
        return Int(clamping: byteCount)
    }

    // MARK: Text

    /// Pushes one row of a statement without parameters.
    mutating func push(
        _ row: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, _ lengths: UnsafePointer<UInt>, into sink: RowSink
    ) -> RowSink.State {
        sink.beginRow()
        byteCount = 0
        for index in columns.indices {
            guard let start = row[index] else {
                sink.null()
                continue
            }
            let bytes = UnsafeRawBufferPointer(start: start, count: Int(lengths[index]))
            byteCount &+= bytes.count
            switch columns[index].form {
            case .text, .date, .datetime, .time: sink.text(bytes)
            case .blob: sink.blob(bytes)
            case .integer: if let value = Self.integer(bytes) { sink.integer(value) } else { sink.text(bytes) }
            case .unsigned: if let value = Self.unsigned(bytes) { sink.natural(value) } else { sink.text(bytes) }
            case .double, .float: if let value = Self.real(bytes) { sink.real(value) } else { sink.text(bytes) }
            case .bit: sink.natural(Self.bits(bytes))
            }
        }
        return end(sink)
    }

    private static func integer(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        guard bytes.first == UInt8(ascii: "-") else { return unsigned(bytes).flatMap { Int64(exactly: $0) } }
        guard let magnitude = unsigned(UnsafeRawBufferPointer(rebasing: bytes[1...])),
            magnitude <= Int64.min.magnitude
        else { return nil }
        return Int64(truncatingIfNeeded: 0 &- magnitude)
    }

    private static func unsigned(_ bytes: UnsafeRawBufferPointer) -> UInt64? {
        guard !bytes.isEmpty else { return nil }
        var value: UInt64 = 0
        for byte in bytes {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) = product.addingReportingOverflow(UInt64(byte - 0x30))
            if overflow || overflow2 { return nil }
            value = sum
        }
        return value
    }

    private static func real(_ bytes: UnsafeRawBufferPointer) -> Double? {
        guard let start = bytes.baseAddress else { return nil }
        var value = 0.0
        guard cnumbers_parse_double(start.assumingMemoryBound(to: CChar.self), bytes.count, &value) == CNUMBERS_OK
        else { return nil }
        return value
    }

    /// The number of a BIT column, which comes as its bytes, the highest first.
    private static func bits(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    // MARK: Prepared statements

    /// Pushes the row that a prepared statement has fetched.
    mutating func push(_ statement: UnsafeMutablePointer<MYSQL_STMT>, into sink: RowSink) -> RowSink.State {
        sink.beginRow()
        byteCount = 0
        for index in columns.indices {
            let column = columns[index]
            switch column.form {
            case .text, .blob, .bit: pushBytes(statement, index, column.form, into: sink)
            case .integer, .unsigned: pushInteger(statement, index, column.form, into: sink)
            case .double:
                if let value = fetch(statement, index, MYSQL_TYPE_DOUBLE, 0.0, sink) {
                    sink.real(column.decimals < Self.unfixedDecimals ? Self.rounded(value, column.decimals) : value)
                }
            case .float:
                if let value = fetch(statement, index, MYSQL_TYPE_FLOAT, Float(0), sink) {
                    pushFloat(value, column.decimals, into: sink)
                }
            case .date, .datetime, .time: pushTime(statement, index, column, into: sink)
            }
        }
        return end(sink)
    }

    /// Fetches a value of fixed size; pushes NULL and returns `nil` where there is none.
    private func fetch<Value>(
        _ statement: UnsafeMutablePointer<MYSQL_STMT>, _ index: Int, _ type: enum_field_types, _ initial: Value,
        isUnsigned: Bool = false,
        _ sink: RowSink
    ) -> Value? {
        var value = initial
        var isNull: my_bool = 0
        let failed = withUnsafeMutablePointer(to: &value) { target in
            withUnsafeMutablePointer(to: &isNull) { isNull in
                var bind = MYSQL_BIND()
                bind.buffer_type = type
                bind.buffer = UnsafeMutableRawPointer(target)
                bind.buffer_length = UInt(MemoryLayout<Value>.size)
                bind.is_null = isNull
                bind.is_unsigned = isUnsigned ? 1 : 0
                return libmariadb.mysql_stmt_fetch_column(statement, &bind, UInt32(index), 0) != 0
            }
        }
        guard !failed, isNull == 0 else {
            sink.null()
            return nil
        }
        return value
    }

    private func pushInteger(
        _ statement: UnsafeMutablePointer<MYSQL_STMT>, _ index: Int, _ form: MySQLForm, into sink: RowSink
    ) {
        if form == .integer {
            if let value = fetch(statement, index, MYSQL_TYPE_LONGLONG, Int64(0), sink) { sink.integer(value) }
        } else if let value = fetch(statement, index, MYSQL_TYPE_LONGLONG, UInt64(0), isUnsigned: true, sink) {
            sink.natural(value)
        }
    }

    /// As the server writes a FLOAT in text: six digits, or as many behind the point as were declared.
    private func pushFloat(_ value: Float, _ decimals: UInt32, into sink: RowSink) {
        let text = withUnsafeTemporaryAllocation(byteCount: Int(CMARIADB_FLOAT_BYTE_COUNT_MAX), alignment: 1) {
            target in
            let count = target.baseAddress.map {
                cmariadb_format_float(value, decimals, $0.assumingMemoryBound(to: CChar.self))
            }
            return Self.real(UnsafeRawBufferPointer(rebasing: target[..<(count ?? 0)]))
        }
        sink.real(text ?? Double(value))
    }

    /// From here on a number has as many digits behind the point as there are (FLOATING_POINT_DECIMALS of the server).
    private static let unfixedDecimals: UInt32 = 31

    /// A DOUBLE with a fixed number of digits behind the point, which results of text have: DOUBLE(10,3), or what is computed
    /// of it.
    private static func rounded(_ value: Double, _ decimals: UInt32) -> Double {
        withUnsafeTemporaryAllocation(byteCount: Int(CMARIADB_DOUBLE_BYTE_COUNT_MAX), alignment: 1) { target in
            let count = target.baseAddress.map {
                cmariadb_format_double(value, decimals, $0.assumingMemoryBound(to: CChar.self))
            }
            return real(UnsafeRawBufferPointer(rebasing: target[..<(count ?? 0)])) ?? value
        }
    }

    private mutating func pushBytes(
        _ statement: UnsafeMutablePointer<MYSQL_STMT>, _ index: Int, _ form: MySQLForm, into sink: RowSink
    ) {
        var capacity = Self.firstByteCount
        while true {
            scratch.removeAll()
            let target = scratch.writable(capacity)
            var length: UInt = 0
            var isNull: my_bool = 0
            let failed = withUnsafeMutablePointer(to: &length) { length in
                withUnsafeMutablePointer(to: &isNull) { isNull in
                    var bind = MYSQL_BIND()
                    bind.buffer_type = MYSQL_TYPE_BLOB
                    bind.buffer = target.baseAddress
                    bind.buffer_length = UInt(capacity)
                    bind.length = length
                    bind.is_null = isNull
                    return libmariadb.mysql_stmt_fetch_column(statement, &bind, UInt32(index), 0) != 0
                }
            }
            if failed || isNull != 0 { return sink.null() }
            let count = Int(clamping: length)
            byteCount &+= count
            guard sink.hasRoom(for: count) else { return }
            guard count <= capacity else {
                capacity = count
                continue
            }
            let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(target)[..<count])
            switch form {
            case .blob: sink.blob(bytes)
            case .bit: sink.natural(Self.bits(bytes))
            default: sink.text(bytes)
            }
            return
        }
    }

    // MARK: Dates and times

    private mutating func pushTime(
        _ statement: UnsafeMutablePointer<MYSQL_STMT>, _ index: Int, _ column: MySQLColumn, into sink: RowSink
    ) {
        let type = column.form == .time ? MYSQL_TYPE_TIME : MYSQL_TYPE_DATETIME
        guard let time = fetch(statement, index, type, MYSQL_TIME(), sink) else { return }
        scratch.removeAll()
        switch column.form {
        case .date: appendDate(time)
        case .datetime:
            appendDate(time)
            scratch.append(UInt8(ascii: " "))
            appendClock(time, hour: UInt64(time.hour), column.decimals)
        default:
            if time.neg != 0 { scratch.append(UInt8(ascii: "-")) }
            appendClock(time, hour: UInt64(time.day) * 24 + UInt64(time.hour), column.decimals)
        }
        sink.text(scratch.readable)
    }

    private mutating func appendDate(_ time: MYSQL_TIME) {
        append(UInt64(time.year), width: 4)
        scratch.append(UInt8(ascii: "-"))
        append(UInt64(time.month), width: 2)
        scratch.append(UInt8(ascii: "-"))
        append(UInt64(time.day), width: 2)
    }

    private mutating func appendClock(_ time: MYSQL_TIME, hour: UInt64, _ decimals: UInt32) {
        append(hour, width: 2)
        scratch.append(UInt8(ascii: ":"))
        append(UInt64(time.minute), width: 2)
        scratch.append(UInt8(ascii: ":"))
        append(UInt64(time.second), width: 2)
        var digitCount = decimals
        if digitCount > Self.fractionDigitCountMax {
            digitCount = time.second_part == 0 ? 0 : Self.fractionDigitCountMax
        }
        guard digitCount > 0 else { return }
        scratch.append(UInt8(ascii: "."))
        var fraction = UInt64(time.second_part)
        for _ in digitCount..<Self.fractionDigitCountMax { fraction /= 10 }
        append(fraction, width: Int(digitCount))
    }

    private mutating func append(_ value: UInt64, width: Int) {
        let digits = String(value)
        for _ in 0..<max(0, width - digits.utf8.count) { scratch.append(UInt8(ascii: "0")) }
        scratch.append(digits)
    }
}

extension RowSink {
    /// An integer that is not negative.
    fileprivate func natural(_ value: UInt64) {
        if let value = Int64(exactly: value) { integer(value) } else { unsigned(value) }
    }
}
