// The requests of one connection that did not end in the turn in which they came.

internal import WireProtocol

/// The requests in flight of one connection, and what they hold.
///
/// Invariants:
/// - An operation is tracked exactly while it is in `operations`.
/// - `byteCount` is the sum of what was charged for the operations, and of what is reserved for a long request.
/// - `greatestID` is not below the id of any request that was ever added, so no request has a greater one.
///
/// - Thread: its connection's loop.
struct RequestsInFlight {
    /// In no order.
    private(set) var operations: [Operation] = []
    private(set) var byteCount = 0
    private var greatestID = Int64.min
    private var lastSerial: UInt64 = 0

    var count: Int { operations.count }
    var isEmpty: Bool { operations.isEmpty }

    /// A number that identifies an operation of the connection, including those that end at once.
    mutating func nextSerial() -> UInt64 {
        lastSerial += 1
        return lastSerial
    }

    /// - Parameters:
    ///   - operation: one that is not in flight yet; somebody may work on it.
    ///   - byteCount: what it held before the hand-over.
    mutating func add(_ operation: Operation, holding byteCount: Int) {
        precondition(!operation.isTracked, "a request is in flight twice")
        operation.isTracked = true
        operations.append(operation)
        if case .integer(let id) = operation.id { greatestID = max(greatestID, id) }
        charge(operation, holding: byteCount)
    }

    mutating func remove(_ operation: Operation) {
        guard let index = operations.firstIndex(where: { $0 === operation }) else {
            preconditionFailure("a request has ended that was not in flight")
        }
        operations.swapAt(index, operations.count - 1)
        operations.removeLast()
        operation.isTracked = false
        byteCount -= operation.chargedByteCount
        operation.chargedByteCount = 0
    }

    // MARK: Questions

    /// Whether an unfinished request has that id. Most clients count, so ids are rarely compared.
    func isInUse(_ id: RequestID) -> Bool {
        if operations.isEmpty { return false }
        if case .integer(let number) = id, number > greatestID { return false }
        return operations.contains { $0.id.isEqual(id) }
    }

    func operation(serial: UInt64) -> Operation? { operations.first { $0.serial == serial } }

    /// The paged query with that id.
    func pagedQuery(_ id: RequestID) -> Operation? {
        operations.first { $0.pageRowCount != nil && $0.id.isEqual(id) }
    }

    var pagedQueryCount: Int { operations.count { $0.pageRowCount != nil } }

    /// The requests with that id that can be stopped.
    func stoppable(_ id: RequestID) -> [Operation] {
        operations.filter { $0.row.traits.contains(.isStoppable) && $0.id.isEqual(id) }
    }

    // MARK: Bytes

    /// Charges what a request holds now, for as long as it is in flight.
    mutating func charge(_ operation: Operation, holding held: Int) {
        byteCount += held - operation.chargedByteCount
        operation.chargedByteCount = held
    }

    /// Reserves bytes for a request that is not decoded yet.
    mutating func reserve(byteCount count: Int) { byteCount += count }

    mutating func release(byteCount count: Int) { byteCount -= count }
}

extension RequestID {
    /// Whether two ids are the same.
    func isEqual(_ other: RequestID) -> Bool {
        switch (self, other) {
        case (.string(let left), .string(let right)): left.elementsEqual(right)
        case (.integer(let left), .integer(let right)): left == right
        case (.unsigned(let left), .unsigned(let right)): left == right
        default: false
        }
    }
}
