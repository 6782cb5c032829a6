// The parts of a connection that know nothing of sockets: sessions, requests in flight, what is charged, what is written down.

import ByteBuffers
import DatabaseContract
import LinuxSystem
import LiteBaseTesting
import Testing
import WireProtocol

@testable import Server

/// A link that only counts how often it was closed.
private final class StubLink: DatabaseLink {
    var closeCount = 0
    let databaseName = "stub"
    let engine = Engine.toy
    let serverVersion = ""
    let transaction = TransactionState.none

    func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome { .pending }
    func resume(_ run: StatementRun) -> RunOutcome { .pending }
    func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome { .pending }
    func pressure(on uid: UInt32) -> LinkPressure { .none }
    func close() { closeCount += 1 }
}

extension String {
    fileprivate func bytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        var text = self
        return text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}

@Suite struct ConnectionPhaseTests {
    @Test func itOnlyGoesForward() {
        let all: [ConnectionPhase] = [.open, .draining, .closing, .closed]
        for (index, from) in all.enumerated() {
            for (other, to) in all.enumerated() {
                var phase = from
                phase.advance(to: to)
                #expect(phase == all[max(index, other)])
            }
        }
    }
}

@Suite struct LaneLoopsTests {
    @Test(arguments: [(1, 1), (1, 4), (2, 2), (2, 5), (4, 4), (16, 4), (3, 3)])
    func halfOfTheCoresServeLanesAndTakeThoseOfTheOthersInTurn(coreCount: Int, loopCount: Int) {
        let loops = LaneLoops(coreCount: coreCount, looks: true)
        let serving = min(loopCount, max(1, coreCount / 2))
        let substitutes = (0..<loopCount).map { loops.substitute(for: $0, of: loopCount) }
        #expect(substitutes.prefix(serving).allSatisfy { $0 == nil })
        #expect(substitutes.dropFirst(serving).allSatisfy { $0.map { (0..<serving).contains($0) } ?? false })
        let taken = Dictionary(grouping: substitutes.compactMap(\.self)) { $0 }.mapValues(\.count)
        #expect((taken.values.max() ?? 0) - (taken.count == serving ? taken.values.min() ?? 0 : 0) <= 1)
    }

    @Test func withoutLookingAllServeThem() {
        let loops = LaneLoops(coreCount: 2, looks: false)
        #expect((0..<8).allSatisfy { loops.substitute(for: $0, of: 8) == nil })
    }
}

@Suite struct SessionTableTests {
    private func find(_ name: String, in table: SessionTable) -> Session? { name.bytes { table.find($0) } }
    private func absence(of name: String, in table: SessionTable) -> SessionTable.Absence {
        name.bytes { table.absence(of: $0) }
    }

    @Test func aSessionIsFoundAsLongAsItTakesRequests() {
        var table = SessionTable(connection: 7)
        table.beginOpening()
        #expect(table.count == 1 && table.open.isEmpty)
        table.endOpening()
        let first = table.add(StubLink(), .none)
        let second = table.add(StubLink(), .none)
        #expect(first.name == "s7-1" && second.name == "s7-2" && table.count == 2)
        #expect(find("s7-1", in: table) === first && find("s7-2", in: table) === second)
        #expect(find("s7-3", in: table) == nil && find("s8-1", in: table) == nil)
        first.isClosing = true
        second.isRevoked = true
        #expect(find("s7-1", in: table) == nil && find("s7-2", in: table) == nil)
        let wasThere = (table.remove(first), table.remove(first))
        #expect(wasThere == (true, false))
        #expect(table.count == 1)
        let third = table.add(StubLink(), .none)
        #expect(third.name == "s7-3")
    }

    @Test func namesOfAFormerProcessAreGoneAndNotUsedAgain() {
        var table = SessionTable(connection: 7)
        #expect(table.restoredText == nil)
        table.restore(count: 2)
        let third = table.add(StubLink(), .none)
        #expect(third.name == "s7-3")
        #expect(absence(of: "s7-1", in: table) == .restarted && absence(of: "s7-2", in: table) == .restarted)
        for name in ["s7-0", "s7-3", "s7-", "s7--1", "s7-18446744073709551616", "s70-1", "s7", ""] {
            #expect(absence(of: name, in: table) == .unknown, "\(name)")
        }
        #expect(table.restoredText == "All sessions of this connection, s7-1 to s7-2, are gone.")
    }

    @Test func theLastNamesAreRemembered() {
        var table = SessionTable(connection: 1)
        for number in 1...SessionTable.endedCountMax + 1 {
            table.remember(ended: "s1-\(number)", number.isMultiple(of: 2) ? .revoked : .idleHold)
        }
        #expect(absence(of: "s1-1", in: table) == .unknown)
        #expect(absence(of: "s1-2", in: table) == .ended(.revoked))
        #expect(absence(of: "s1-3", in: table) == .ended(.idleHold))
        #expect(absence(of: "s1-\(SessionTable.endedCountMax + 1)", in: table) == .ended(.idleHold))
    }
}

@Suite struct RequestsInFlightTests {
    private static let row = RequestTable(RequestTable.standard).rows.first { $0.traits.contains(.isStoppable) }

    private static func operation(_ id: RequestID, byteCount: Int = 0) throws -> Operation {
        let writer = MessageWriter(encoding: .messagePack, framing: .lengthPrefixed)
        let operation = Operation(MessagePackFormat.makeRowSink(writer), try #require(row))
        operation.id = id
        operation.storage.append([UInt8](repeating: 0, count: byteCount))
        return operation
    }

    /// Whatever comes and goes, in whatever order: against a list.
    @Test func itKnowsWhatAListWould() throws {
        var seeds = SeededGenerator.fresh
        for _ in 0..<200 {
            let seed = seeds.next()
            var generator = SeededGenerator(seed: seed)
            var requests = RequestsInFlight()
            var list: [Operation] = []
            var reserved: [Int] = []
            for _ in 0..<60 {
                switch Int.random(in: 0..<6, using: &generator) {
                case 0...2:
                    let operation = try Self.operation(
                        .integer(Int64.random(in: -20...20, using: &generator)),
                        byteCount: Int.random(in: 0...50_000, using: &generator))
                    operation.serial = requests.nextSerial()
                    if Bool.random(using: &generator) { operation.pageRowCount = 1 }
                    requests.add(operation, holding: operation.heldByteCount)
                    list.append(operation)
                case 3:
                    guard let index = list.indices.randomElement(using: &generator) else { break }
                    let operation = list.remove(at: index)
                    requests.remove(operation)
                    #expect(!operation.isTracked && operation.chargedByteCount == 0, "seed \(seed)")
                case 4:
                    let byteCount = Int.random(in: 0...1_000, using: &generator)
                    if let index = reserved.indices.randomElement(using: &generator) {
                        requests.release(byteCount: reserved.remove(at: index))
                    } else {
                        requests.reserve(byteCount: byteCount)
                        reserved.append(byteCount)
                    }
                default:
                    guard let operation = list.randomElement(using: &generator) else { break }
                    operation.storage.append([UInt8](repeating: 1, count: 100_000))
                    requests.charge(operation, holding: operation.heldByteCount)
                }
                #expect(requests.count == list.count && requests.isEmpty == list.isEmpty, "seed \(seed)")
                #expect(list.allSatisfy({ $0.isTracked }), "seed \(seed)")
                #expect(
                    requests.byteCount == list.reduce(0, { $0 + $1.heldByteCount }) + reserved.reduce(0, +),
                    "seed \(seed)")
                let paged = list.filter { $0.pageRowCount != nil }
                #expect(requests.pagedQueryCount == paged.count, "seed \(seed)")
                for number in Int64(-21)...21 {
                    let id = RequestID.integer(number)
                    #expect(requests.isInUse(id) == list.contains(where: { $0.id == id }), "seed \(seed)")
                    #expect((requests.pagedQuery(id) != nil) == paged.contains(where: { $0.id == id }), "seed \(seed)")
                    #expect(requests.stoppable(id).count == list.count(where: { $0.id == id }), "seed \(seed)")
                }
                for operation in list {
                    #expect(requests.operation(serial: operation.serial) === operation, "seed \(seed)")
                }
            }
            let unused = requests.nextSerial()
            #expect(requests.operation(serial: unused) == nil, "seed \(seed)")
        }
    }

    @Test func textIsComparedByItsBytes() throws {
        var requests = RequestsInFlight()
        let (one, same, other) = (Array("one".utf8), Array("one".utf8), Array("two".utf8))
        try one.withUnsafeBytes { one in
            requests.add(try Self.operation(.string(one)), holding: 0)
            same.withUnsafeBytes { #expect(requests.isInUse(.string($0))) }
            other.withUnsafeBytes { #expect(!requests.isInUse(.string($0))) }
            #expect(!requests.isInUse(.unsigned(.max)) && !requests.isInUse(.integer(1)))
        }
    }
}

@Suite struct BufferChargeTests {
    @Test func whatIsNotToldIsLittleAndNothingIsToldOfNothing() {
        var seeds = SeededGenerator.fresh
        for _ in 0..<200 {
            let seed = seeds.next()
            var generator = SeededGenerator(seed: seed)
            var charge = BufferCharge()
            var account = 0
            let connectionCount = [1, 100, 100_000].randomElement(using: &generator) ?? 1
            for _ in 0..<100 {
                let held = [0, 1, 100, 20_000, 40_000, 1 << 20].randomElement(using: &generator) ?? 0
                account += charge.settle(held, connectionCount: connectionCount)
                #expect(account == charge.byteCount, "seed \(seed)")
                #expect(held > 0 || account == 0, "seed \(seed)")
                #expect(abs(held - account) < BufferCharge.stepByteCount, "seed \(seed)")
                #expect(
                    abs(held - account) * connectionCount <= BufferCharge.unchargedByteCount || held == account,
                    "seed \(seed)")
            }
        }
    }
}

@Suite struct HandoverRecordTests {
    private static let position = HandoverRecord.Position(
        framing: .lengthPrefixed, preferences: ClientPreferences(int64Style: .string, noticeEncoding: .json),
        sessionCount: 3, lane: .none)

    @Test func whatIsWrittenIsWhatALaterProcessReads() throws {
        let table = try HandoverTable(slotCount: 1)
        let slot = try #require(table.take(number: 9))
        var record = HandoverRecord.none
        #expect(record.mayBeOffered && !record.isKept)
        record.offer()
        #expect(!record.mayBeOffered && !record.isKept)
        record.adopt(slot)
        #expect(!record.mayBeOffered && record.isKept)
        record.markUnknown()
        #expect(slot.state == .unknown)
        record.write(Self.position, unanswered: .integer(5), .messagePack)
        #expect(slot.state == .known && slot.framing == Framing.lengthPrefixed.number && slot.sessionCount == 3)
        #expect(slot.int64Style == .string && slot.noticeEncoding == WireEncoding.json.number)
        #expect(slot.unanswered?.map(\.id) == [.integer(5)])
        record.write(Self.position, unanswered: RequestsInFlight(), isBehindLeftover: true)
        #expect(slot.state == .knownBehindLeftover && slot.unanswered?.isEmpty == true)
        record.forget()
        record.markUnknown()
        #expect(slot.state == .knownBehindLeftover && record.mayBeOffered)
    }

    @Test func whatTheStoreDoesNotTakeMayBeOfferedAgain() {
        var record = HandoverRecord.none
        record.offer()
        record.adopt(nil)
        #expect(record.mayBeOffered)
        // There is nowhere to write.
        record.write(Self.position, unanswered: RequestsInFlight())
    }
}
