// The event loop: descriptors, timers, the mailbox, and changes while events are being delivered.

import Glibc
import Synchronization
import Testing

@testable import LinuxSystem

/// Two ends of a pipe.
private final class Pipe {
    let reader: OwnedDescriptor
    let writer: OwnedDescriptor

    init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0)
        reader = OwnedDescriptor(ends[0])
        writer = OwnedDescriptor(ends[1])
    }

    func write() { _ = Glibc.write(writer.number, "x", 1) }
}

private final class Recorder: EventSource {
    var readiness: [Readiness] = []
    var tokens: [UInt64] = []
    var onHandle: () -> Void = {}
    var onTimer: (UInt64) -> Void = { _ in }

    override func handle(_ readiness: Readiness) {
        self.readiness.append(readiness)
        onHandle()
    }

    override func timerFired(_ token: UInt64) {
        tokens.append(token)
        onTimer(token)
    }
}

/// A source with memory that somebody else writes.
private final class Neighbour: EventSource {
    var news = 0
    var toldCount = 0
    var sleepCount = 0
    var onNews: () -> Void = {}

    override var hasNews: Bool { news > 0 }

    override func handleNews() {
        news -= 1
        toldCount += 1
        onNews()
    }

    override func fallAsleep() -> Bool {
        if hasNews { return false }
        sleepCount += 1
        return true
    }
}

@Suite struct EventLoopTests {
    @Test func newsInMemoryIsToldWithoutDescriptors() throws {
        let loop = try EventLoop(spinNanosecondsMax: 50_000)
        let (pipe, source) = (Pipe(), Neighbour())
        try loop.register(source, pipe.reader, for: .readable)
        source.news = 2
        loop.turn(waiting: false)
        #expect(source.toldCount == 0, "nobody has asked to look")
        loop.heat(source)
        loop.heat(source)
        loop.turn(waiting: true)
        #expect(source.toldCount == 1)
        loop.turn(waiting: true)
        #expect(source.toldCount == 2 && source.sleepCount == 0)
        loop.schedule(EventSource(), at: .now)
        loop.turn(waiting: true)
        loop.schedule(EventSource(), at: MonotonicInstant.now.advanced(byMilliseconds: 2))
        loop.turn(waiting: true)
        #expect(source.sleepCount == 1, "the loop has slept")
        source.news = 1
        loop.turn(waiting: false)
        #expect(source.toldCount == 2, "it would have to ring")
        loop.deregister(source, pipe.reader)
    }

    /// Others are served although news never ends.
    @Test func newsWithoutEndLetsDescriptorsThrough() throws {
        let loop = try EventLoop(spinNanosecondsMax: 50_000)
        let (pipe, source) = (Pipe(), Neighbour())
        let (other, recorder) = (Pipe(), Recorder())
        try loop.register(source, pipe.reader, for: .readable)
        try loop.register(recorder, other.reader, for: .readable)
        other.write()
        loop.heat(source)
        source.news = .max
        let deadline = MonotonicInstant.now.advanced(byMilliseconds: 10_000)
        while recorder.readiness.isEmpty, MonotonicInstant.now < deadline { loop.turn(waiting: true) }
        #expect(!recorder.readiness.isEmpty)
        source.news = 0
        // Quiet for long enough while the other one keeps the loop busy.
        let neighbour = Neighbour()
        let third = Pipe()
        try loop.register(neighbour, third.reader, for: .readable)
        loop.heat(neighbour)
        neighbour.news = .max
        while source.sleepCount == 0, MonotonicInstant.now < deadline { loop.turn(waiting: true) }
        #expect(source.sleepCount == 1 && neighbour.sleepCount == 0)
        loop.deregister(source, pipe.reader)
        loop.deregister(neighbour, third.reader)
        loop.deregister(recorder, other.reader)
    }

    @Test func aSourceMayLeaveWhenItIsTold() throws {
        let loop = try EventLoop(spinNanosecondsMax: 50_000)
        let pipes = [Pipe(), Pipe(), Pipe()]
        let sources = [Neighbour(), Neighbour(), Neighbour()]
        for (source, pipe) in zip(sources, pipes) {
            try loop.register(source, pipe.reader, for: .readable)
            loop.heat(source)
            source.news = 1
        }
        sources[0].onNews = {
            loop.deregister(sources[0], pipes[0].reader)
            loop.deregister(sources[1], pipes[1].reader)
        }
        loop.turn(waiting: true)
        loop.turn(waiting: true)
        #expect(sources.map(\.toldCount) == [1, 0, 1])
        loop.deregister(sources[2], pipes[2].reader)
    }

    @Test func deliversReadinessUntilDeregistered() throws {
        let loop = try EventLoop()
        let (pipe, source) = (Pipe(), Recorder())
        try loop.register(source, pipe.reader, for: .readable)
        loop.turn(waiting: false)
        #expect(source.readiness.isEmpty)
        pipe.write()
        loop.turn(waiting: false)
        loop.turn(waiting: false)
        #expect(source.readiness == [.readable, .readable], "level-triggered: nothing was read")
        loop.setInterest(source, pipe.reader, [])
        loop.turn(waiting: false)
        loop.deregister(source, pipe.reader)
        loop.turn(waiting: false)
        #expect(source.readiness.count == 2)
        try loop.register(source, pipe.reader, for: .readable)
        loop.turn(waiting: false)
        #expect(source.readiness.count == 3)
    }

    /// The loop alone keeps them: one that leaves while it is called, until the end of the turn; the others, until the loop ends.
    @Test func sourcesLiveAsLongAsTheyAreNeeded() throws {
        weak var leaving: Recorder?
        weak var staying: Recorder?
        let pipe = (Pipe(), Pipe())
        do {
            let loop = try EventLoop()
            try { () throws in
                let (first, second) = (Recorder(), Recorder())
                (leaving, staying) = (first, second)
                try loop.register(first, pipe.0.reader, for: .readable)
                try loop.register(second, pipe.1.reader, for: .readable)
                first.onHandle = { [unowned first] in
                    loop.deregister(first, pipe.0.reader)
                    #expect(first.readiness == [.readable])
                }
            }()
            pipe.0.write()
            #expect(leaving != nil && staying != nil)
            loop.turn(waiting: false)
            #expect(leaving == nil && staying != nil)
        }
        #expect(staying == nil)
    }

    @Test func timersFireInOrderAndNotBefore() throws {
        let loop = try EventLoop()
        let source = Recorder()
        let start = MonotonicInstant.now
        loop.schedule(source, token: 2, at: start.advanced(byMilliseconds: 20))
        loop.schedule(source, token: 1, at: start.advanced(byMilliseconds: 10))
        let cancelled = loop.schedule(source, token: 9, at: start.advanced(byMilliseconds: 15))
        loop.schedule(source, token: 0, at: start)
        loop.schedule(source, token: 3, at: start.advanced(byMilliseconds: 20))
        loop.cancel(cancelled)
        source.onTimer = { if $0 == 3 { loop.stop() } }
        loop.run()
        #expect(source.tokens == [0, 1, 2, 3])
        #expect(MonotonicInstant.now.nanoseconds(since: start) >= 20_000_000)
    }

    /// Of a loop on a thread that ends: its descriptors would stay open with it.
    @Test func whatWasLeftToDoDoesNotKeepALoopThatHasEnded() throws {
        final class Owner: EventSource {
            let loop: EventLoop
            init(_ loop: EventLoop) { self.loop = loop }
            override func timerFired(_ token: UInt64) { loop.stop() }
        }
        weak var remaining: EventLoop?
        let mailbox: LoopMailbox
        do {
            let loop = try EventLoop()
            let owner = Owner(loop)
            (remaining, mailbox) = (loop, loop.mailbox)
            loop.schedule(owner, at: .now)
            loop.schedule(owner, token: 1, at: .now.advanced(byMilliseconds: 3_600_000))
            let bound = LoopBound(owner, mailbox)
            // In the same turn, behind the timer.
            mailbox.submit { mailbox.submit { bound.wrapped.loop.stop() } }
            loop.run()
            mailbox.submit { bound.wrapped.loop.stop() }
        }
        #expect(remaining == nil)
        withExtendedLifetime(mailbox) {}
    }

    @Test func aTimerMaySetAnotherThatIsDueAtOnce() throws {
        let loop = try EventLoop()
        let source = Recorder()
        source.onTimer = { token in
            if token < 5 {
                loop.schedule(source, token: token + 1, at: MonotonicInstant(nanoseconds: 0))
            } else {
                loop.stop()
            }
        }
        loop.schedule(source, token: 1, at: .now)
        loop.run()
        #expect(source.tokens == [1, 2, 3, 4, 5])
    }

    @Test func aSourceThatLeavesDuringATurnGetsNothingMore() throws {
        let loop = try EventLoop()
        let pipes = (0..<2).map { _ in Pipe() }
        let sources = (0..<2).map { _ in Recorder() }
        for (pipe, source) in zip(pipes, sources) {
            try loop.register(source, pipe.reader, for: .readable)
            pipe.write()
        }
        // Whichever is told first removes both: the other's event was delivered already by the kernel.
        for source in sources {
            source.onHandle = { for (pipe, source) in zip(pipes, sources) { loop.deregister(source, pipe.reader) } }
        }
        loop.turn(waiting: false)
        #expect(sources.map(\.readiness.count).sorted() == [0, 1])
    }

    @Test func aSlotThatIsReusedDuringATurnDoesNotGetTheOldEvent() throws {
        let loop = try EventLoop()
        let pipes = (0..<3).map { _ in Pipe() }
        let sources = (0..<3).map { _ in Recorder() }
        for index in 0..<2 {
            try loop.register(sources[index], pipes[index].reader, for: .readable)
            pipes[index].write()
        }
        for index in 0..<2 {
            sources[index].onHandle = {
                let other = 1 - index
                loop.deregister(sources[other], pipes[other].reader)
                try? loop.register(sources[2], pipes[2].reader, for: .readable)
            }
        }
        loop.turn(waiting: false)
        #expect(sources[2].readiness.isEmpty)
        #expect(sources[0].readiness.count + sources[1].readiness.count == 1)
        pipes[2].write()
        sources[0].onHandle = {}
        sources[1].onHandle = {}
        loop.turn(waiting: false)
        #expect(sources[2].readiness == [.readable])
    }

    @Test func aSourceMayDropItsLastReferenceWhileItRuns() throws {
        let loop = try EventLoop()
        let pipe = Pipe()
        weak var weakSource: Recorder?
        do {
            let source = Recorder()
            weakSource = source
            try loop.register(source, pipe.reader, for: .readable)
            source.onHandle = { [unowned source] in
                loop.deregister(source, pipe.reader)
                source.readiness.append(.failed)
            }
        }
        pipe.write()
        #expect(weakSource != nil, "the loop keeps it")
        loop.turn(waiting: false)
        #expect(weakSource == nil, "and lets it go after the turn")
    }

    @Test func jobsOfOtherThreadsRunInOrderOnTheLoop() throws {
        let loop = try EventLoop()
        let mailbox = loop.mailbox
        let count = 1_000
        let order = Mutex<[Int]>([])
        let strangers = Atomic<Int>(0)
        final class Stop: @unchecked Sendable {
            let loop: EventLoop
            init(_ loop: EventLoop) { self.loop = loop }
        }
        let stop = Stop(loop)
        try Thread.start(name: "submitter") {
            #expect(!mailbox.isCurrent)
            for index in 0..<count {
                mailbox.submit {
                    if !mailbox.isCurrent { strangers.add(1, ordering: .relaxed) }
                    order.withLock { $0.append(index) }
                    if index == count - 1 { stop.loop.stop() }
                }
            }
        }
        loop.run()
        #expect(order.withLock { $0 } == Array(0..<count))
        #expect(strangers.load(ordering: .relaxed) == 0)
    }

    @Test func aJobMaySubmitAnother() throws {
        let loop = try EventLoop()
        let mailbox = loop.mailbox
        let runs = Mutex(0)
        mailbox.submit { mailbox.submit { runs.withLock { $0 += 1 } } }
        loop.turn(waiting: false)
        #expect(runs.withLock { $0 } == 0, "not in the same turn")
        loop.turn(waiting: false)
        #expect(runs.withLock { $0 } == 1)
    }
}
