// How far a run may have had an effect: cases of the three servers, and any order of events against a list of what was sent.

import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import RemoteDatabases

/// The same, from a list of everything that has happened.
private struct EffectPlay {
    private enum Event {
        case sent(StatementEffect.Nature, isDivisible: Bool)
        case confirmed
    }

    var generator: SeededGenerator
    let isReadOnly: Bool
    var effect: StatementEffect
    private var events: [Event] = []

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        isReadOnly = Bool.random(using: &generator)
        effect = StatementEffect(isReadOnly: isReadOnly)
    }

    mutating func step() {
        if Int.random(in: 0..<4, using: &generator) == 0 {
            events.append(.confirmed)
            return effect.confirm()
        }
        let nature = StatementEffect.Nature.allCases.randomElement(using: &generator) ?? .reads
        let isDivisible = Bool.random(using: &generator)
        events.append(.sent(nature, isDivisible: isDivisible))
        effect.noteSent(nature, isDivisible: isDivisible)
    }

    private func wasSent(_ wanted: StatementEffect.Nature) -> Bool {
        !isReadOnly && events.contains { if case .sent(wanted, _) = $0 { true } else { false } }
    }

    private func mayStay(_ connectionIsLost: Bool) -> Bool {
        wasSent(.commits) || (wasSent(.changes) && !connectionIsLost)
    }

    private func verdict(_ connectionIsLost: Bool) -> StatementEffect.Verdict {
        if case .confirmed? = events.last { return .done }
        if mayStay(connectionIsLost) { return .unknown }
        return wasSent(.calls) ? .nothingButByFunctions : .nothing
    }

    private var isDivisible: Bool {
        for case .sent(_, let isDivisible) in events.reversed() { return isDivisible && !isReadOnly }
        return false
    }

    func check() {
        for isLost in [false, true] {
            #expect(
                effect.verdict(connectionIsLost: isLost) == verdict(isLost)
                    && effect.mayStay(connectionIsLost: isLost) == mayStay(isLost),
                "seed \(generator.seed): \(events), lost: \(isLost)")
        }
        #expect(effect.isDivisible == isDivisible, "seed \(generator.seed): \(events)")
        #expect(effect.readsOnly == isReadOnly)
    }
}

@Suite struct StatementEffectTests {
    @Test func whatMayStayIsToldInAnyOrderOfEvents() {
        var seeds = SeededGenerator.fresh
        for _ in 0..<500 {
            var play = EffectPlay(seed: seeds.next())
            play.check()
            for _ in 0..<12 {
                play.step()
                play.check()
            }
        }
    }

    /// With the connection goes a transaction that is open; as long as it lives, it may still be committed.
    @Test func whatIsNotCommittedIsGoneWithItsConnection() {
        var effect = StatementEffect()
        #expect(effect.verdict(connectionIsLost: false) == .nothing)
        effect.noteSent(.changes)
        #expect(effect.verdict(connectionIsLost: true) == .nothing)
        #expect(effect.verdict(connectionIsLost: false) == .unknown)
        effect.noteSent(.reads)
        #expect(effect.verdict(connectionIsLost: false) == .unknown, "what was sent before is not undone by reading")
        effect.noteSent(.commits)
        #expect(effect.verdict(connectionIsLost: true) == .unknown)
        effect.confirm()
        #expect(effect.verdict(connectionIsLost: true) == .done)
        effect.noteSent(.reads)
        #expect(effect.verdict(connectionIsLost: true) == .unknown, "the rest of a batch is not done")
    }

    @Test func whoMayOnlyReadChangesNothing() {
        var effect = StatementEffect(isReadOnly: true)
        for nature in StatementEffect.Nature.allCases { effect.noteSent(nature, isDivisible: true) }
        #expect(effect.verdict(connectionIsLost: false) == .nothing && !effect.isDivisible)
        // COMMIT of a session: nothing is to be looked for afterwards.
        effect.confirm()
        #expect(effect.isDone && !effect.mayStay(connectionIsLost: false))
    }

    /// A statement is sent again only where it cannot have done anything.
    @Test func errorsFollowTheVerdict() {
        var calls = StatementEffect()
        calls.noteSent(.calls)
        var changes = StatementEffect()
        changes.noteSent(.changes)
        var commits = StatementEffect()
        commits.noteSent(.commits)
        let lost = [StatementEffect(), calls, changes, commits].map { DriverError.lost($0, isSession: false) }
        #expect(lost.map(\.code) == [.connectFailed, .connectFailed, .connectFailed, .outcomeUnknown])
        #expect(lost.map(\.details.isRetryable) == [true, false, true, false])
        #expect(!DriverError.lost(StatementEffect(), isSession: true).details.isRetryable)
        let stopped = [StatementEffect(), calls, changes, commits].map {
            DriverError.detached(.timeout, $0, connectionIsLost: false)
        }
        #expect(stopped.map(\.code) == [.timeout, .timeout, .outcomeUnknown, .outcomeUnknown])
        #expect(stopped.map { $0.details.detail != nil } == [false, true, false, false])
        #expect(DriverError.detached(.timeout, changes, connectionIsLost: true).code == .timeout)
    }
}
