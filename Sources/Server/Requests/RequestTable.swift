// All request types that the daemon serves, in one place: who may send them, and how they are served. Their names are
// beside their data (WireProtocol), their handlers in a file of their own here.

internal import WireProtocol

extension RequestTable {
    /// The rows, in a fixed order: memory that outlives the process has the number of a row (`RequestWatch`), so new
    /// rows are added at the end.
    static let standard: [RequestRow] = [
        RequestRow(HealthRequest.self, for: .everybody, [.isStoppable, .isAnsweredAtEnd]),
        RequestRow(HelloRequest.self, for: .everybody),
        RequestRow(ListDatabasesRequest.self, for: .everybody),
        RequestRow(ConnectRequest.self, for: .users, [.isWork]),
        RequestRow(DisconnectRequest.self, for: .users, [.mayQueue]),
        RequestRow(
            QueryRequest.self, for: .users, [.isWork, .isStatement, .isKept, .mayQueue, .isStoppable]),
        RequestRow(
            BatchRequest.self, for: .users, [.isWork, .isStatement, .isKept, .mayQueue, .isStoppable]),
        RequestRow(DescribeRequest.self, for: .users, [.isWork, .isStatement, .mayQueue, .isStoppable]),
        RequestRow(FetchRequest.self, for: .users, [.namesAnother]),
        RequestRow(CancelRequest.self, for: .everybody, [.namesAnother]),
        RequestRow(StatsRequest.self, for: .everybody),
        RequestRow(
            ReloadRequest.self,
            for: .administrators(
                .reload, message: "Only an administrator may make the daemon reload.",
                hint: "Ask an administrator: systemctl reload litebase."),
            [.raisesLimits]),
        RequestRow(ActivityRequest.self, for: .usersAndAdministrators),
        RequestRow(BackupRequest.self, for: .users, [.isWork, .isKept, .isStoppable, .takesDescriptors]),
        RequestRow(
            ExportRequest.self, for: .users,
            [.isWork, .isStatement, .isKept, .mayQueue, .isStoppable, .takesDescriptors]),
        RequestRow(CatalogRequest.self, for: .users, [.isWork, .mayQueue, .isStoppable]),
        RequestRow(CompleteRequest.self, for: .users, [.isWork]),
        RequestRow(
            ImportRequest.self, for: .users, [.isWork, .isKept, .mayQueue, .isStoppable, .takesDescriptors]),
        RequestRow(SubscribeRequest.self, for: .users, [.isWork, .isStoppable, .isEndless]),
        RequestRow(TerminateRequest.self, for: .usersAndAdministrators),
        RequestRow(RestoreRequest.self, for: .users, [.isWork, .isKept, .isStoppable, .takesDescriptors]),
    ]
}

/// The request types that one loop serves, found by name.
///
/// - Thread: any; each loop has its own, so that no reference count is shared by all.
final class RequestTable: Sendable {
    let rows: [RequestRow]
    /// By the hash of a name: the number of its row plus 1; 0 for none. Names with the same hash are in consecutive
    /// places.
    private let places: [UInt8]

    private static let placeCount = 256

    init(_ rows: [RequestRow]) {
        precondition(rows.count < Self.placeCount / 2, "the table of requests is too large")
        var places = [UInt8](repeating: 0, count: Self.placeCount)
        for (number, row) in rows.enumerated() {
            let name = UnsafeRawBufferPointer(start: row.type.name.utf8Start, count: row.type.name.utf8CodeUnitCount)
            precondition(!name.isEmpty, "a type of request has no name")
            var place = Self.place(of: name)
            while places[place] != 0 {
                precondition(!name.equals(rows[Int(places[place]) - 1].type.name), "two types have one name")
                place = (place + 1) % Self.placeCount
            }
            places[place] = UInt8(number + 1)
        }
        self.places = places
        self.rows = rows.enumerated().map { $1.numbered($0) }
    }

    /// The row of the type with that name; `nil` when there is none.
    @inline(__always)
    func row(named name: UnsafeRawBufferPointer) -> RequestRow? {
        guard let number = number(of: name) else { return nil }
        return rows[number]
    }

    @inline(__always)
    private func number(of name: UnsafeRawBufferPointer) -> Int? {
        guard !name.isEmpty else { return nil }
        var place = Self.place(of: name)
        while places[place] != 0 {
            let number = Int(places[place]) &- 1
            if name.equals(rows[number].type.name) { return number }
            place = (place &+ 1) % Self.placeCount
        }
        return nil
    }

    private static func place(of name: UnsafeRawBufferPointer) -> Int {
        let (first, last) = (Int(name[0]), Int(name[name.count &- 1]))
        return (first &* 31 &+ last &* 7 &+ name.count) % placeCount
    }

    /// The names of all types, for a client that has sent an unknown one.
    var nameList: String { rows.map { "\($0.type.name)" }.joined(separator: ", ") }
}
