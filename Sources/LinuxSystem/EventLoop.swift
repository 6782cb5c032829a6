// The event loop: epoll, timers and a mailbox for other threads.
//
// One loop belongs to one thread. Everything registered with it is touched by that thread only, which is what makes the
// data plane free of locks. Other threads reach a loop through its `mailbox` (LoopMailbox.swift).

internal import CLinux
internal import Glibc

/// Waits for descriptors, timers and jobs, and calls their sources.
///
/// - Thread: made and run on one thread; only `mailbox` may be used from others.
/// - Source: epoll(7), level-triggered.
public final class EventLoop {
    /// Where other threads submit jobs.
    public let mailbox: LoopMailbox
    /// Time at the start of the current turn, so that handlers need no clock call.
    public var now: MonotonicInstant { turnStart }
    /// Turns since the start; a watchdog compares it over time.
    public var turnCount: UInt64 { turnNumber }

    // `@exclusivity` has no effect in other modules, so public properties are computed.
    @exclusivity(unchecked) private var turnStart = MonotonicInstant.now
    @exclusivity(unchecked) private var turnNumber: UInt64 = 0
    private let epoll: OwnedDescriptor
    /// Each is retained once, from `register` to `deregister`, and not for each of its events.
    @exclusivity(unchecked) private var slots: [Unmanaged<EventSource>?] = []
    @exclusivity(unchecked) private var generations: [UInt32] = []
    private var freeSlots: [Int] = []
    /// Sources that were deregistered in this turn stay alive until its end: one of them may be running.
    @exclusivity(unchecked) private var departed: [EventSource] = []
    @exclusivity(unchecked) private var timers = TimerQueue()
    private let events: UnsafeMutablePointer<clinux_event>
    @exclusivity(unchecked) private var isStopRequested = false
    @exclusivity(unchecked) private var spin: SpinPolicy
    @exclusivity(unchecked) private var hot = HotSources()
    /// When the descriptors were last asked.
    @exclusivity(unchecked) private var lastPoll = MonotonicInstant(nanoseconds: 0)
    /// How often they have been asked in vain since then, while the loop looked.
    @exclusivity(unchecked) private var vainPollCount = 0

    /// Shared by the `FileWatch`es of this loop; `nil` if there are none.
    var fileWatcher: FileWatcher?

    private static let mailboxToken = UInt64.max
    /// The descriptors are asked so often as long as there is news in memory, or could be and they have had none of late.
    private static let pollNanoseconds: Int64 = 20_000
    /// So often they are asked in vain at each look at memory.
    private static let vainPollCountMax = 16

    /// Makes a loop.
    /// - Parameter spinNanosecondsMax: how long it may poll for events before it sleeps, while they arrive quickly; 0:
    ///   it always sleeps.
    /// - Throws: `Errno.tooManyFiles` and the like if epoll or eventfd is not available.
    public init(spinNanosecondsMax: Int64 = 0) throws(Errno) {
        spin = SpinPolicy(nanosecondsMax: spinNanosecondsMax)
        let epoll = OwnedDescriptor(Int32(try SystemCalls.call(.epollControl) { Int(clinux_epoll_create()) }))
        let mailbox = try LoopMailbox()
        let number = epoll.number
        let wakeUp = mailbox.descriptorNumber
        _ = try SystemCalls.call(.epollControl) {
            Int(clinux_epoll_add(number, wakeUp, Readiness.readable.rawValue, Self.mailboxToken))
        }
        self.epoll = epoll
        self.mailbox = mailbox
        events = .allocate(capacity: Int(CLINUX_EVENT_COUNT_MAX))
        mailbox.bindToCurrentThread()
    }

    deinit {
        for slot in slots { slot?.release() }
        events.deallocate()
    }

    /// Watches a descriptor.
    /// - Parameters:
    ///   - source: gets events; kept alive until `deregister`.
    ///   - descriptor: owned by the caller, who deregisters before closing it.
    ///   - interest: what the source waits for; errors and hang-ups are always reported.
    /// - Throws: `Errno` if the kernel has no room (epoll_ctl(2)).
    public func register(_ source: EventSource, _ descriptor: borrowing OwnedDescriptor, for interest: Readiness)
        throws(Errno)
    {
        precondition(source.slot < 0, "registered twice")
        let slot = freeSlots.popLast() ?? slots.count
        if slot == slots.count {
            slots.append(nil)
            generations.append(0)
        }
        let (epoll, number, token) = (epoll.number, descriptor.number, self.token(slot))
        do throws(Errno) {
            _ = try SystemCalls.call(.epollControl) { Int(clinux_epoll_add(epoll, number, interest.rawValue, token)) }
        } catch {
            freeSlots.append(slot)
            throw error
        }
        source.slot = slot
        slots[slot] = .passRetained(source)
    }

    /// Changes what a source waits for. Cannot fail for a registered descriptor, except for lack of memory.
    ///
    /// A source that waits for nothing still gets errors and hang-ups, but once: otherwise they would be reported again
    /// and again (epoll_ctl(2), EPOLLONESHOT).
    public func setInterest(_ source: EventSource, _ descriptor: borrowing OwnedDescriptor, _ interest: Readiness) {
        guard source.slot >= 0 else { return }
        let events = interest.isEmpty ? UInt32(CLINUX_EPOLLONESHOT) : interest.rawValue
        _ = clinux_epoll_modify(epoll.number, descriptor.number, events, token(source.slot))
    }

    /// Stops watching; events of this turn that were not delivered yet are dropped.
    public func deregister(_ source: EventSource, _ descriptor: borrowing OwnedDescriptor) {
        guard source.slot >= 0 else { return }
        if source.isHot { hot.remove(source) }
        _ = clinux_epoll_remove(epoll.number, descriptor.number)
        generations[source.slot] &+= 1
        if let own = slots[source.slot] { departed.append(own.takeRetainedValue()) }
        slots[source.slot] = nil
        freeSlots.append(source.slot)
        source.slot = -1
    }

    /// Looks at the memory of a registered source from now on, until it has had no news for as long as the loop polls before
    /// it sleeps. To be called when it may have news: when its descriptor was ready, and when it waits for something else.
    public func heat(_ source: EventSource) {
        source.lastNews = now
        guard !source.isHot, source.slot >= 0 else { return }
        hot.add(source)
    }

    /// Calls `source.timerFired(token)` at `deadline`.
    @discardableResult
    public func schedule(_ source: EventSource, token: UInt64 = 0, at deadline: MonotonicInstant) -> TimerID {
        timers.schedule(source, token: token, at: deadline)
    }

    /// Cancels a timer that has not fired yet; must not be called for one that has.
    public func cancel(_ timer: TimerID) {
        let source = timers.cancel(timer)
        withExtendedLifetime(source) {}
    }

    /// Runs until `stop()`, once.
    ///
    /// What has not happened by then does not happen: timers and jobs are dropped, since what they hold may hold the loop.
    public func run() {
        mailbox.bindToCurrentThread()
        Thread.preferLatency()
        while !isStopRequested { turn(waiting: true) }
        let sources = timers.removeAll()
        withExtendedLifetime(sources) {}
        mailbox.close()
    }

    /// Ends `run()` after the current turn.
    public func stop() {
        isStopRequested = true
    }

    /// One turn: wait, then deliver events, timers and jobs.
    /// - Parameter waiting: false polls and returns at once.
    public func turn(waiting: Bool) {
        let eventCount = waiting ? waitForEvents() : poll(timeout: 0)
        turnNumber &+= 1
        var hasMail = false
        for index in 0..<eventCount {
            let event = events[index]
            if event.token == Self.mailboxToken {
                hasMail = true
                continue
            }
            let slot = Int(truncatingIfNeeded: event.token & 0xffff_ffff)
            guard generations[slot] == UInt32(truncatingIfNeeded: event.token >> 32) else { continue }
            // A source that is deregistered during the call is still retained.
            slots[slot]?._withUnsafeGuaranteedRef { $0.handle(Readiness(rawValue: event.events)) }
        }
        if hot.count > 0 { tellNews() }
        let lastTimer = timers.lastSequence
        while let due = timers.popDue(now, upTo: lastTimer) { due.source.timerFired(due.token) }
        if hasMail { mailbox.runJobs() }
        if !departed.isEmpty { departed.removeAll(keepingCapacity: true) }
    }

    private func token(_ slot: Int) -> UInt64 { UInt64(generations[slot]) << 32 | UInt64(slot) }

    private func timeout(from start: MonotonicInstant) -> Int64 {
        guard let deadline = timers.nextDeadline else { return -1 }
        return max(0, deadline.nanoseconds(since: start))
    }

    /// Tells the hot sources that have news. Some may leave meanwhile; whom that hides is told in the next turn.
    private func tellNews() {
        var index = 0
        while index < hot.count {
            hot[index]._withUnsafeGuaranteedRef { source in
                guard source.hasNews else { return }
                source.lastNews = turnStart
                source.handleNews()
            }
            index &+= 1
        }
    }

    // The functions below also set the time of the turn.

    /// Takes the events that come within the time, in nanoseconds.
    private func poll(timeout: Int64) -> Int {
        let count = wait(timeout: timeout)
        turnStart = .now
        return count
    }

    /// Waits for events, the next timer, or news in memory.
    private func waitForEvents() -> Int {
        let start = MonotonicInstant.now
        if hot.count > 0, hot.haveNews { return takeNews(at: start) }
        let timeout = timeout(from: start)
        guard spin.nanosecondsMax > 0, timeout != 0 else { return sleep(timeout) }
        let way = spin.beginWait(at: start)
        let found = way == .sleep ? nil : look(from: start, makesRoom: way == .poll)
        let count = found ?? sleep(timeout)
        turnStart = .now
        spin.waitEnded(after: turnStart.nanoseconds(since: start))
        return count
    }

    /// There is news in memory: the descriptors are asked now and then.
    @inline(never)
    private func takeNews(at now: MonotonicInstant) -> Int {
        spin.waitEnded(after: 0)
        turnStart = now
        return now.nanoseconds(since: lastPoll) < Self.pollNanoseconds ? 0 : pollBetweenNews(at: now)
    }

    /// Asks the descriptors although there is news in memory.
    private func pollBetweenNews(at now: MonotonicInstant) -> Int {
        lastPoll = now
        _ = hot.sleep(quietSince: now.advanced(byNanoseconds: -spin.nanosecondsMax))
        return wait(timeout: 0)
    }

    /// Polls for events without sleeping, while nobody else wants the core (sched_yield(2)).
    ///
    /// By itself, so that `Benchmarks/thresholds.py` can leave out what depends on the time.
    /// - Returns: their number, which is 0 where there is news in memory; `nil` if nothing has come.
    @inline(never)
    private func look(from start: MonotonicInstant, makesRoom: Bool) -> Int? {
        var before = start
        repeat {
            if hot.count > 0 {
                if hot.lookForNews() { return 0 }
                if let count = pollBesideMemory(at: before) { return count }
            } else {
                let count = wait(timeout: 0)
                if count > 0 { return count }
            }
            if makesRoom { sched_yield() }
            let after = MonotonicInstant.now
            if !spin.yieldReturned(after: after.nanoseconds(since: before), at: after) { return nil }
            before = after
        } while before.nanoseconds(since: start) < spin.nanosecondsMax
        return nil
    }

    /// Asks the descriptors between two looks at memory, where each call would be time in which nobody looks: seldom, unless
    /// they have had something of late.
    /// - Returns: `nil` if nothing has come.
    private func pollBesideMemory(at now: MonotonicInstant) -> Int? {
        if vainPollCount >= Self.vainPollCountMax, now.nanoseconds(since: lastPoll) < Self.pollNanoseconds {
            return nil
        }
        lastPoll = now
        let count = wait(timeout: 0)
        vainPollCount = count > 0 ? 0 : min(vainPollCount &+ 1, Self.vainPollCountMax)
        return count > 0 ? count : nil
    }

    private func sleep(_ timeout: Int64) -> Int {
        if hot.count > 0, timeout != 0, !hot.sleep(quietSince: .distantFuture) { return poll(timeout: 0) }
        return poll(timeout: timeout)
    }

    private func wait(timeout: Int64) -> Int {
        do throws(Errno) {
            let (number, events) = (epoll.number, events)
            return try SystemCalls.call(.epollWait) {
                Int(clinux_epoll_wait(number, events, CLINUX_EVENT_COUNT_MAX, timeout))
            }
        } catch {
            // EBADF, EFAULT and EINVAL are our bugs; anything else is transient, and the next turn tries again.
            precondition(error != Errno(EBADF) && error != .invalidArgument, "epoll_wait: \(error)")
            return 0
        }
    }
}
