// The state of a connection against every order of events: each run is told once and only once, whatever happens to its
// connection, and nothing is started while something that was meant for another statement may still arrive.

import LinuxSystem
import LiteBaseTesting
import Testing

@testable import RemoteDatabases

/// What is there, said as simply as it can be: no phases, only what has happened and what is still to come.
private struct ConnectionPlay {
    final class Run {
        let number: Int
        var toldCount = 0

        init(_ number: Int) { self.number = number }
    }

    enum Event: CaseIterable {
        case start, fill, resume, stop, overflow, sendCancel, cancelReturns, detach, end, endUnclean, reset, introduce,
            lose
    }

    var generator: SeededGenerator
    var state = ConnectionState<Run>()
    var runs: [Run] = []
    /// The run whose client waits.
    var waiting: Run?
    /// The server works for that run; else it has told its end, and clears.
    var isRunAtServer = false
    /// The server owes an answer.
    var isOwed = false
    var isCancelUnderWay = false
    /// The server was to stop since the connection was idle last.
    var wasStopped = false
    var isFull = false
    var isLost = false
    var history: [String] = []

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// What a connection may be asked for at this moment.
    private func isPossible(_ event: Event) -> Bool {
        switch event {
        case .start, .reset, .introduce: !isOwed && !isCancelUnderWay && !isLost
        case .fill, .overflow: waiting != nil && isRunAtServer && !isFull && !isLost
        case .resume: isFull
        case .stop: waiting != nil
        case .sendCancel: wasStopped && !isCancelUnderWay && isOwed
        case .cancelReturns: isCancelUnderWay
        case .detach: waiting != nil && isRunAtServer && wasStopped
        case .end, .endUnclean: isOwed && !isFull && !isLost
        case .lose: !isLost
        }
    }

    mutating func step() {
        guard let event = Event.allCases.randomElement(using: &generator), isPossible(event) else { return }
        // Otherwise most plays would end at once.
        if event == .lose, Int.random(in: 0..<10, using: &generator) > 0 { return }
        history.append("\(event)")
        play(event)
        check()
    }

    private mutating func tell(_ run: Run?) {
        run?.toldCount += 1
        if let run, run === waiting { waiting = nil }
    }

    private mutating func play(_ event: Event) {
        switch event {
        case .start:
            let run = Run(runs.count)
            runs.append(run)
            (waiting, isRunAtServer, isOwed) = (run, true, true)
            state.start(run)
        case .fill:
            isFull = true
            state.fill()
        case .resume:
            isFull = false
            guard let waiting else { return fail("nobody is full") }
            if !state.resume(waiting) { fail("who is full is resumed") }
        case .stop: stop()
        case .overflow:
            state.discard()
            let isNew = state.abort(droppingRows: true)
            if isNew == wasStopped { fail("the server is told once") }
            wasStopped = true
        case .sendCancel:
            if !state.beginCancel() { fail("what is wanted is sent") }
            isCancelUnderWay = true
        case .cancelReturns:
            isCancelUnderWay = false
            let ending = state.cancelReturned()
            if isOwed || isLost {
                if ending != nil { fail("the server has not answered yet") }
            } else {
                follow(ending)
            }
        case .detach:
            let run = state.detach()
            if run !== waiting { fail("it is the run that is told") }
            isFull = false
            tell(run)
        case .end: end(clearing: false)
        case .endUnclean: end(clearing: true)
        case .reset:
            isOwed = true
            state.reset()
        case .introduce:
            isOwed = true
            state.introduce()
        case .lose:
            isLost = true
            isOwed = false
            isFull = false
            guard let lost = state.lose() else { return fail("it was not lost before") }
            tell(lost.run)
            tell(lost.ended)
        }
    }

    private mutating func stop() {
        guard let run = waiting else { return }
        let droppingRows = Bool.random(using: &generator)
        switch state.stop(run, droppingRows: droppingRows) {
        case .nothing: fail("a run whose client waits can be stopped")
        case .told(let ended):
            if isRunAtServer { fail("the server has not ended it") }
            tell(ended)
        case .goesOn(let wasSuspended, let sendsCancel):
            if !isRunAtServer || wasSuspended != isFull { fail("it goes on where it was") }
            if sendsCancel == wasStopped { fail("the server is told once") }
            wasStopped = true
            isFull = false
        }
    }

    private mutating func end(clearing: Bool) {
        // Only what was left by a run can be unclean.
        let clears = clearing && waiting != nil && isRunAtServer && !wasStopped
        isOwed = clears
        follow(state.end(clearing: clearing))
        isRunAtServer = false
    }

    private mutating func follow(_ ending: ConnectionState<Run>.Ending?) {
        switch ending {
        case .settled(let told, let needsReset):
            if isCancelUnderWay { fail("a cancel is under way") }
            if needsReset != wasStopped { fail("what was stopped is not clean") }
            wasStopped = false
            tell(told)
        case .awaitsCancel(let told):
            if !isCancelUnderWay { fail("no cancel is under way") }
            tell(told)
        case .clears(let run):
            if run !== waiting || !isOwed { fail("it is cleared behind its run") }
        case nil: fail("what has ended has an end")
        }
    }

    private func fail(_ what: String) {
        Issue.record("\(what): seed \(generator.seed), \(history.joined(separator: " "))")
    }

    private func check() {
        if state.isIdle != (!isOwed && !isCancelUnderWay && !isLost) { fail("idle is who has nothing to wait for") }
        if state.isBroken != isLost { fail("broken is who is lost") }
        if (state.run != nil) != (waiting != nil && isRunAtServer && !isLost) { fail("it has the run of the server") }
        if state.run != nil, state.run !== waiting { fail("it is somebody else's run") }
        if state.isSuspended != isFull { fail("suspended is who is full") }
        if state.isIdle, waiting != nil { fail("a client was forgotten") }
        if state.isDiscarding, !wasStopped { fail("rows are dropped of who goes on") }
        let isRepeated = wasStopped && isOwed && !isCancelUnderWay && !isLost
        if state.isCancelDue != isRepeated { fail("a cancel that came too early is repeated") }
        if runs.contains(where: { $0.toldCount > 1 || ($0.toldCount == 0) != ($0 === waiting) }) {
            fail("a run is told once")
        }
    }

    /// Lets everything come to its end.
    mutating func finish() {
        for _ in 0..<4 where !state.isIdle && !isLost {
            for event in [Event.resume, .cancelReturns, .end] where isPossible(event) {
                history.append("\(event)")
                play(event)
                check()
            }
        }
        if !state.isIdle, !isLost { fail("it does not come to rest") }
    }
}

@Suite struct ConnectionStateTests {
    @Test func eachRunIsToldOnceInAnyOrderOfEvents() {
        var seeds = SeededGenerator.fresh
        let roundCount = Process.environment("LITEBASE_TEST_ROUNDS").flatMap { Int($0) } ?? 300
        for _ in 0..<roundCount {
            var play = ConnectionPlay(seed: seeds.next())
            for _ in 0..<120 { play.step() }
            play.finish()
        }
    }

    /// A statement is not started while a cancel may still hit it.
    @Test func aCancelIsAwaited() {
        final class Run {}
        var state = ConnectionState<Run>()
        let run = Run()
        state.start(run)
        guard case .goesOn(wasSuspended: false, sendsCancel: true) = state.stop(run, droppingRows: true) else {
            return #expect(Bool(false))
        }
        #expect(state.beginCancel() && !state.beginCancel())
        guard case .awaitsCancel(let told)? = state.end(clearing: true) else { return #expect(Bool(false)) }
        #expect(told === run && !state.isIdle)
        guard case .settled(told: nil, needsReset: true)? = state.cancelReturned() else { return #expect(Bool(false)) }
        #expect(state.isIdle)
    }
}
