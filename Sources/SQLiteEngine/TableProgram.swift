// Programs of statements that do nothing but read plain columns of one table.

internal import CSQLite
internal import LinuxSystem

/// What a statement reads, where its program is one of the few that are known here operation by operation.
///
/// The text says what is wanted, the program (https://sqlite.org/opcode.html) what SQLite does, views, indexes and the optimizer
/// included. Its form may change with any version, so every operation and every operand has to be as expected; otherwise SQLite
/// runs the statement, as it runs all others.
struct TableProgram {
    enum Access: Equatable {
        /// The row with this number.
        case row(RowNumber)
        /// All rows, in the order of their numbers.
        case all
    }

    enum RowNumber: Equatable {
        /// The parameter at this place, from 1 on.
        case parameter(Int32)
        case constant(Int64)
    }

    enum Column: Equatable {
        case rowNumber
        /// A field of the record.
        /// - isReal: whole numbers become real ones.
        /// - hasDefault: a row that is older than the column has a value that is not in its record.
        case field(Int, isReal: Bool, hasDefault: Bool)
    }

    let access: Access
    /// The first page of the table's B-tree.
    let rootPage: UInt32
    let columns: [Column]
    /// Up to the last one that a column needs.
    let fieldCount: Int
    /// The version of the schema for which this is the program.
    let schemaVersion: Int32

    /// Fields are found for each row in memory on the stack.
    private static let fieldCountMax = 200

    /// An operation, as EXPLAIN lists it.
    struct Operation: Equatable {
        var name: String
        var p1: Int64
        var p2: Int64
        var p3: Int64
        var p4: String?
        var p5: Int64
    }

    /// - Returns: `nil` for every other program.
    init?(_ operations: [Operation]) {
        var reader = OperationReader(operations)
        guard let start = reader.next("Init"), let end = Int(exactly: start.p2), end > 0, end < operations.count,
            let version = Self.schemaVersion(operations[end...])
        else { return nil }
        schemaVersion = version
        // ORDER BY, which of one row needs nothing.
        _ = reader.next("Noop")
        // LIMIT: of the one row that there may be, any number keeps it but 0.
        let limit = reader.next("Integer") { $0.p1 > 0 }
        guard let table = reader.next("OpenRead", { $0.p3 == 0 && $0.p5 == 0 }),
            // For an index it describes the key.
            table.p4?.utf8.allSatisfy({ (0x30...0x39).contains($0) }) == true,
            let root = UInt32(exactly: table.p2), root > 0
        else { return nil }
        rootPage = root
        if let rewind = reader.next("Rewind", { $0.p1 == table.p1 }) {
            access = .all
            let loop = reader.index
            guard limit == nil, let columns = Self.columns(&reader, of: table.p1),
                reader.next("Next", { $0.p1 == table.p1 && $0.p2 == loop && $0.p5 == 1 }) != nil,
                reader.next("Halt", { rewind.p2 == $0.index && $0.p1 == 0 }) != nil
            else { return nil }
            self.columns = columns
        } else {
            guard let number = Self.rowNumber(&reader),
                let seek = reader.next("SeekRowid", { $0.p1 == table.p1 && $0.p3 == number.register }),
                let columns = Self.columns(&reader, of: table.p1)
            else { return nil }
            if let limit {
                guard reader.next("DecrJumpZero", { $0.p1 == limit.p2 && $0.p2 == seek.p2 }) != nil else { return nil }
            }
            guard reader.next("Halt", { seek.p2 == $0.index && $0.p1 == 0 }) != nil else { return nil }
            access = .row(number.value)
            self.columns = columns
        }
        guard reader.index == end else { return nil }
        var last = -1
        for case .field(let index, _, _) in columns { last = max(last, index) }
        guard last < Self.fieldCountMax else { return nil }
        fieldCount = last + 1
    }

    /// What stands behind the program: the beginning of its transaction.
    private static func schemaVersion(_ operations: ArraySlice<Operation>) -> Int32? {
        guard operations.count == 2, let begin = operations.first, let jump = operations.last,
            begin.name == "Transaction", begin.p1 == 0, begin.p2 == 0, begin.p5 == 1,
            jump.name == "Goto", jump.p2 == 1
        else { return nil }
        return Int32(exactly: begin.p3)
    }

    private static func rowNumber(_ reader: inout OperationReader) -> (value: RowNumber, register: Int64)? {
        if let variable = reader.next("Variable"), let place = Int32(exactly: variable.p1) {
            return (.parameter(place), variable.p2)
        }
        if let short = reader.next("Integer") { return (.constant(short.p1), short.p2) }
        if let long = reader.next("Int64"), let value = long.p4.flatMap({ Int64($0) }) {
            return (.constant(value), long.p2)
        }
        return nil
    }

    /// The columns, each into the register behind that of the one before, up to the operation that returns them.
    private static func columns(_ reader: inout OperationReader, of cursor: Int64) -> [Column]? {
        var columns: [Column] = []
        var first: Int64?
        func isNext(_ register: Int64) -> Bool { first.map { register == $0 + Int64(columns.count) } ?? true }
        while true {
            if let number = reader.next("Rowid", { $0.p1 == cursor && isNext($0.p2) }) {
                first = first ?? number.p2
                columns.append(.rowNumber)
            } else if let field = reader.next("Column", { $0.p1 == cursor && $0.p5 == 0 && isNext($0.p3) }) {
                guard let index = Int(exactly: field.p2), index >= 0 else { return nil }
                first = first ?? field.p3
                let isReal = reader.next("RealAffinity") { $0.p1 == field.p3 } != nil
                columns.append(.field(index, isReal: isReal, hasDefault: field.p4 != nil))
            } else {
                let count = Int64(columns.count)
                guard count > 0, reader.next("ResultRow", { $0.p1 == first && $0.p2 == count }) != nil else {
                    return nil
                }
                return columns
            }
        }
    }
}

/// Reads a program from its beginning.
private struct OperationReader {
    private let operations: [TableProgram.Operation]
    private(set) var index = 0

    @dynamicMemberLookup
    struct Place {
        var index: Int
        var operation: TableProgram.Operation
        subscript<Value>(dynamicMember path: KeyPath<TableProgram.Operation, Value>) -> Value {
            operation[keyPath: path]
        }
    }

    init(_ operations: [TableProgram.Operation]) { self.operations = operations }

    /// The next operation, if it has that name and is as expected.
    mutating func next(_ name: String, _ isExpected: (Place) -> Bool = { _ in true }) -> Place? {
        guard index < operations.count, operations[index].name == name else { return nil }
        let place = Place(index: index, operation: operations[index])
        guard isExpected(place) else { return nil }
        index += 1
        return place
    }
}

extension TableProgram {
    /// The program of a statement.
    /// - Returns: `nil` if it is another one, or could not be listed in the time that preparing it may take.
    init?(of statement: CachedStatement, on connection: SQLiteConnection) {
        guard SQLiteLibrary.hasKnownPrograms, statement.isReadOnly, let text = sqlite3_sql(statement.handle) else {
            return nil
        }
        connection.beginGuard()
        defer { AllocationGuard.end() }
        var operations: [Operation] = []
        let isWhole = connection.listOperations(of: text, byteCount: statement.sqlByteCount) {
            // Longer ones are not read to their end, nor kept.
            if operations.count <= Self.operationCountMax { operations.append(Operation($0)) }
        }
        guard isWhole, operations.count <= Self.operationCountMax else { return nil }
        self.init(operations)
    }

    private static let operationCountMax = 2 * fieldCountMax + 16
}

extension TableProgram.Operation {
    /// Of a number of 64 bits.
    private static var textByteCountMax: Int32 { 20 }

    /// - Parameter listing: a row of EXPLAIN.
    init(_ listing: OpaquePointer) {
        name = sqlite3_column_text(listing, 1).map { String(cString: $0) } ?? ""
        p1 = sqlite3_column_int64(listing, 2)
        p2 = sqlite3_column_int64(listing, 3)
        p3 = sqlite3_column_int64(listing, 4)
        // Of the default of a column, which may be long, it matters only that there is one.
        let isShort = sqlite3_column_bytes(listing, 5) <= Self.textByteCountMax
        p4 = sqlite3_column_text(listing, 5).map { isShort ? String(cString: $0) : "…" }
        p5 = sqlite3_column_int64(listing, 6)
    }
}
