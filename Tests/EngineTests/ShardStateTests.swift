// One loop's part of a pool against every order of events: nobody gets what another user has left, nothing stays idle or unproven
// for longer than it may, and each request has an end.

import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import RemoteDatabases

private final class Connection {
    let number: Int
    init(_ number: Int) { self.number = number }
}
private final class Request {
    let uid: UInt32
    init(_ uid: UInt32) { self.uid = uid }
}

private typealias State = ShardState<Connection, Request>

/// A shard with a clock that tests set, and a pool that agrees or not.
private struct ShardPlay {
    private enum Place {
        case idle(since: MonotonicInstant)
        case lent(UInt32)
        case resetting
    }

    private struct Known {
        var connection: Connection
        var condition: State.Condition
        var place: Place
    }

    private static let limits = State.Limits(
        waitMilliseconds: 500, connectMilliseconds: 300, idleMilliseconds: 4_000, lifetimeMilliseconds: 20_000)

    var generator: SeededGenerator
    var state = State(limits)
    private var now = MonotonicInstant(nanoseconds: 1)
    private var known: [Int: Known] = [:]
    private var alarms: [State.Alarm: MonotonicInstant] = [:]
    private var timers: [UInt64: MonotonicInstant] = [:]
    private var waiting: [UInt64: UInt32] = [:]
    /// Idle connections that the pool has reserved for other loops.
    private var reservedCount = 0
    private var connectionCount = 0

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    private var text: Comment { "seed \(generator.seed)" }
    private var idle: [Known] { known.values.filter { if case .idle = $0.place { true } else { false } } }

    private mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &generator) == 0 }
    private mutating func anyUser() -> UInt32 { UInt32.random(in: 1...3, using: &generator) }

    // MARK: Events

    mutating func step() {
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<25: ask(anyUser())
        case 25..<45: pass(Int64.random(in: 0...400, using: &generator))
        case 45..<48: pass(Int64.random(in: 0...6_000, using: &generator))
        case 48..<70: returnAny()
        case 70..<80: settleAny()
        case 80..<84: loseAny()
        case 84..<88: open()
        case 88..<92: reserve()
        case 92..<95: withdrawAny()
        case 95: state.close()
        default: state.reopen()
        }
        check()
    }

    private mutating func ask(_ uid: UInt32) {
        if state.isNextClean(for: uid), mayTake() {
            guard let connection = taken(state.takeNext()) else { return }
            return lend(connection, uid)
        }
        let number = state.add(Request(uid))
        waiting[number] = uid
        acquire(number)
    }

    /// The pool gives the request what is idle, or has it wait.
    private mutating func acquire(_ number: UInt64) {
        state.willAsk(number)
        guard let uid = waiting[number] else { return }
        if mayTake() {
            guard let connection = taken(state.takeNext(for: uid)) else { return }
            deliver(connection, to: number)
        }
        if let end = state.beginWait(number, now: now) { timers[number] = end }
    }

    private mutating func deliver(_ connection: Connection, to number: UInt64) {
        guard let condition = known[connection.number]?.condition else { return }
        switch state.deliver(connection, condition, to: number, of: waiting[number] ?? 0) {
        case .release:
            #expect(waiting[number] == nil, text)
            giveBack(connection)
        case .reset: place(connection, .resetting)
        case .lend(let request):
            #expect(waiting.removeValue(forKey: number) == request.uid, text)
            timers[number] = nil
            lend(connection, request.uid)
        }
    }

    private mutating func lend(_ connection: Connection, _ uid: UInt32) {
        let condition = known[connection.number]?.condition
        #expect(condition?.needsReset == false, "it is used with what is left on it: \(text)")
        #expect(condition?.lastUID == nil || condition?.lastUID == uid, "it was another user's: \(text)")
        place(connection, .lent(uid))
    }

    private mutating func place(_ connection: Connection, _ place: Place) {
        known[connection.number]?.place = place
    }

    private mutating func anyConnection(where isMeant: (Place) -> Bool) -> Connection? {
        let meant = known.values.filter { isMeant($0.place) }.map(\.connection)
        return meant.sorted { $0.number < $1.number }.randomElement(using: &generator)
    }

    private mutating func returnAny() {
        guard let connection = anyConnection(where: { if case .lent = $0 { true } else { false } }),
            var found = known[connection.number], case .lent(let uid) = found.place
        else { return }
        found.condition.lastUID = uid
        found.condition.needsReset = chance(4)
        found.condition.isWorn = chance(30)
        if found.condition.clearingDue == nil {
            found.condition.clearingDue = now.advanced(byMilliseconds: Int64.random(in: 1...1_000, using: &generator))
        }
        known[connection.number] = found
        giveBack(connection)
    }

    private mutating func giveBack(_ connection: Connection) {
        guard let condition = known[connection.number]?.condition else { return }
        let age = now.nanoseconds(since: condition.opened) / 1_000_000
        switch state.returned(condition, now: now) {
        case .close:
            #expect(state.isClosed || condition.isWorn || age >= Self.limits.lifetimeMilliseconds, text)
            known[connection.number] = nil
        case .reset:
            #expect(condition.needsReset || condition.clearingDue.map { $0 <= now } == true, text)
            place(connection, .resetting)
        case .offer:
            #expect(!state.isClosed && !condition.isWorn && age <= Self.limits.lifetimeMilliseconds, text)
            // The pool gives it to somebody of this loop, or has it kept.
            if let number = waiting.keys.min(), chance(2) { return deliver(connection, to: number) }
            state.keep(connection, condition, now: now)
            place(connection, .idle(since: now))
            setAlarms()
        }
    }

    /// The server has reset a connection.
    private mutating func settleAny() {
        guard let connection = anyConnection(where: { if case .resetting = $0 { true } else { false } }) else { return }
        known[connection.number]?.condition.needsReset = false
        known[connection.number]?.condition.lastUID = nil
        known[connection.number]?.condition.clearingDue = nil
        guard let number = state.takePromise(of: connection) else { return giveBack(connection) }
        deliver(connection, to: number)
    }

    private mutating func loseAny() {
        guard let connection = anyConnection(where: { _ in true }) else { return }
        let wasIdle = idle.contains { $0.connection === connection }
        #expect(state.removeIdle(connection) == wasIdle, text)
        known[connection.number] = nil
        reservedCount = min(reservedCount, idle.count)
        if let number = state.takePromise(of: connection), state.request(number) != nil { acquire(number) }
    }

    /// A new connection is made for a request that waits.
    private mutating func open() {
        guard let number = waiting.keys.sorted().randomElement(using: &generator) else { return }
        if let end = state.beginOpening(number, now: now) { timers[number] = end }
        if chance(3) { return }
        connectionCount += 1
        let connection = Connection(connectionCount)
        known[connection.number] = Known(
            connection: connection, condition: State.Condition(opened: now), place: .lent(waiting[number] ?? 0))
        deliver(connection, to: number)
    }

    /// Another loop gets an idle connection, now or later.
    private mutating func reserve() {
        if reservedCount < idle.count, chance(2) { reservedCount += 1 }
        guard reservedCount > 0, chance(2), let connection = state.takeNext() else { return }
        reservedCount -= 1
        known[connection.number] = nil
    }

    private mutating func withdrawAny() {
        guard let number = waiting.keys.sorted().randomElement(using: &generator) else { return }
        #expect(state.remove(number) != nil, text)
        waiting[number] = nil
        timers[number] = nil
    }

    private func taken(_ connection: Connection?) -> Connection? {
        #expect(connection != nil, "the pool has counted one that is not there: \(text)")
        return connection
    }

    private func mayTake() -> Bool { idle.count > reservedCount }

    // MARK: Time

    private mutating func setAlarms() {
        for alarm in [State.Alarm.sweep, .clearing] {
            if let instant = state.nextAlarm(alarm) { alarms[alarm] = instant }
        }
    }

    /// Lets time pass, in which each timer fires when it is due.
    private mutating func pass(_ milliseconds: Int64) {
        // What is reserved was passed on by then.
        while reservedCount > 0, let connection = state.takeNext() {
            known[connection.number] = nil
            reservedCount -= 1
        }
        let end = now.advanced(byMilliseconds: milliseconds)
        while let next = (Array(alarms.values) + Array(timers.values)).min(), next <= end {
            now = max(now, next)
            for (alarm, instant) in alarms where instant <= now { ring(alarm) }
            for number in timers.filter({ $0.value <= now }).keys.sorted() { expire(number) }
        }
        now = end
    }

    private mutating func ring(_ alarm: State.Alarm) {
        alarms[alarm] = nil
        state.didRing(alarm)
        let mayTake = mayTake()
        switch alarm {
        case .sweep:
            while let unused = state.takeUnused(now: now, if: { mayTake }) { known[unused.number] = nil }
        case .clearing:
            while let unproven = state.takeUnproven(now: now, if: { mayTake }) { place(unproven, .resetting) }
        case .retry: break
        }
        setAlarms()
    }

    private mutating func expire(_ number: UInt64) {
        timers[number] = nil
        let expiry = state.expire(number)
        #expect(expiry != nil, "its timer is set, and it is gone: \(text)")
        #expect(state.remove(number)?.uid == waiting[number], text)
        waiting[number] = nil
    }

    // MARK: The truth

    private func check() {
        #expect(state.idleCount == idle.count, text)
        #expect(Set(timers.keys) == Set(waiting.keys), "each request has an end: \(text)")
        for one in idle {
            guard case .idle(let since) = one.place else { continue }
            let idleMilliseconds = now.nanoseconds(since: since) / 1_000_000
            #expect(idleMilliseconds <= Self.limits.idleMilliseconds, "it is unused for too long: \(text)")
            if let due = one.condition.clearingDue { #expect(due >= now, "what nobody sees stays on it: \(text)") }
            #expect(!one.condition.needsReset && !one.condition.isWorn, text)
        }
    }
}

@Suite struct ShardStateTests {
    @Test func connectionsAndRequestsEndInTimeInAnyOrderOfEvents() {
        var seeds = SeededGenerator.fresh
        let roundCount = Process.environment("LITEBASE_TEST_ROUNDS").flatMap { Int($0) } ?? 100
        for _ in 0..<roundCount {
            var play = ShardPlay(seed: seeds.next())
            for _ in 0..<500 { play.step() }
        }
    }

    /// A connection that is returned later may have to be reset earlier.
    @Test func theAlarmRingsForTheEarliest() {
        var state = State(
            State.Limits(waitMilliseconds: 1, connectMilliseconds: 1, idleMilliseconds: 9_000, lifetimeMilliseconds: 0))
        let start = MonotonicInstant(nanoseconds: 1)
        let (first, second) = (Connection(1), Connection(2))
        let late = start.advanced(byMilliseconds: 900)
        let early = start.advanced(byMilliseconds: 200)
        state.keep(first, State.Condition(opened: start, clearingDue: late), now: start)
        #expect(state.nextAlarm(.clearing) == late)
        state.keep(second, State.Condition(opened: start, clearingDue: early), now: start)
        #expect(state.nextAlarm(.clearing) == early)
        #expect(state.nextAlarm(.clearing) == nil, "it is set")
        #expect(state.takeUnproven(now: early, if: { true }) === second)
        #expect(state.takeUnproven(now: early, if: { true }) == nil)
    }
}
