// The smallest engine that there can be, as an example of one: it counts, waits until it is stopped, or complains.

import DatabaseContract
import LinuxSystem

extension Engine {
    static let toy = Engine(
        name: "toy", schemes: ["toy"], urlExample: "toy:NAME", placement: .process, pingText: "count 0",
        parse: { url throws(DriverError) in
            guard url.utf8.count > 4 else { throw DriverError(.badRequest, "A toy has a name.", hint: "Use toy:NAME.") }
            return ToyLocation(label: url)
        })
}

struct ToyLocation: DatabaseLocation {
    let label: String
    var filePath: String? { nil }
    var file: DatabaseFile? { nil }
    var isMemory: Bool { false }
    var isReadOnly: Bool { false }

    func checkClientURL() throws(DriverError) {}
    func makeDatabase(_ plan: DatabasePlan) -> any Database { ToyDatabase(self, plan) }
}

final class ToyDatabase: Database {
    private let name: String
    let location: any DatabaseLocation
    let isReadOnly: Bool
    var engine: Engine { .toy }
    var isVolatile: Bool { true }

    init(_ location: ToyLocation, _ plan: DatabasePlan) {
        name = plan.name
        self.location = location
        isReadOnly = plan.isReadOnly
    }

    func makeSharedLink(_ context: DriverContext) -> any DatabaseLink { ToyLink(name) }

    func openSession(
        _ request: SessionRequest, _ context: DriverContext, done: @escaping (SessionOpening) -> Void
    ) -> SessionOpening? {
        .success(ToyLink(name))
    }

    func checkpoint(done: @escaping @Sendable () -> Void) { done() }
}

/// Runs `count N`, which has N rows, and `wait`, which has an end only when it is stopped.
final class ToyLink: DatabaseLink {
    /// What a run has still to do.
    private final class Counter {
        var next: Int64 = 1
        let end: Int64

        init(_ end: Int64) { self.end = end }
    }

    let databaseName: String
    let serverVersion = "1.0"
    let transaction = TransactionState.none
    var engine: Engine { .toy }
    private var isClosed = false

    init(_ name: String) { databaseName = name }

    func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome {
        let words = String(decoding: run.sql, as: UTF8.self).split(separator: " ")
        if words == ["wait"] { return .pending }
        guard words.count == 2, words[0] == "count", let count = Int64(words[1]) else {
            let error = DriverError(.syntaxError, "A toy counts or waits.", hint: "Try count 3.", sqlState: "42601")
            return end(run, error)
        }
        run.execution = Counter(count)
        run.sink.begin(ColumnSet([ColumnDescription(name: Array("n".utf8), type: "integer", declaredType: nil)]))
        return goOn(run)
    }

    func resume(_ run: StatementRun) -> RunOutcome {
        run.sink.reopen()
        return goOn(run)
    }

    private func goOn(_ run: StatementRun) -> RunOutcome {
        guard let counter = run.execution as? Counter else { preconditionFailure("what was not begun goes on") }
        while counter.next <= counter.end {
            run.sink.beginRow()
            run.sink.integer(counter.next)
            counter.next += 1
            run.rowCount += 1
            if run.sink.endRow() != .open { return .filled }
        }
        return end(run, nil)
    }

    func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome { end(run, .stopped(reason)) }

    private func end(_ run: StatementRun, _ error: DriverError?) -> RunOutcome {
        run.execution = nil
        run.error = error
        return .ended
    }

    func pressure(on uid: UInt32) -> LinkPressure { .none }
    func close() { isClosed = true }
}
