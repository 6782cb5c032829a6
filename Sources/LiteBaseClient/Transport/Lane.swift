// The client's side of a lane: its rings, how long it is looked at before this side sleeps, and what was passed beside it.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

/// One lane, as its client has it.
///
/// - Thread: one at a time.
final class Lane {
    var rings: LaneRings
    /// Was sent, and nothing of its request was written yet.
    var passed: PassedDescriptor?
    /// The latest one whose request was written. There is only one at a time: whoever passes one waits for the answer.
    private(set) var sent: PassedDescriptor?
    private var wanted: Polling.Readiness = []
    private var lookCount = 0
    private var looker = LaneLooker()

    init(_ rings: consuming LaneRings) { self.rings = rings }

    /// Sets what it waits for.
    func wait(for events: Polling.Readiness) {
        wanted = events
        rings.wait(forInput: events.contains(.readable), forRoom: events.contains(.writable))
    }

    /// What there is of it.
    var news: Polling.Readiness {
        var news: Polling.Readiness = []
        if wanted.contains(.readable), rings.hasUnreadBytes { news.insert(.readable) }
        if wanted.contains(.writable), rings.hasNewRoom { news.insert(.writable) }
        return news
    }

    /// Now and then.
    var isTurnOfOthers: Bool { lookCount & 63 == 0 }

    /// Looks for a short time, if that has paid off.
    /// - Returns: whether there is news.
    func look(until deadline: MonotonicInstant?) -> Bool {
        lookCount &+= 1
        return looker.look(until: deadline) { rings.hasNews }
    }

    /// It has slept until now.
    func slept(from began: MonotonicInstant) { looker.waited(since: began) }

    func requestOfPassedWasWritten() {
        sent = passed
        passed = nil
    }

    /// The request was answered. An end of a pipe that stays open here would be one that others wait for.
    func forgetPassed() { sent = nil }
}

/// A descriptor that was sent beside a lane, until it is known that the daemon has its request.
final class PassedDescriptor {
    let descriptor: OwnedDescriptor
    /// Where its request is in the stream.
    let start: UInt64
    let end: UInt64

    init(_ descriptor: consuming OwnedDescriptor, start: UInt64, byteCount: Int) {
        self.descriptor = descriptor
        self.start = start
        end = start &+ UInt64(byteCount)
    }
}

/// What has to be sent over the socket when a lane was left.
struct OwedOutput: ~Copyable {
    private var bytes = ByteBuffer()
    /// Bytes of a request, to be sent behind the others, the first of them with its descriptor.
    private var last = ByteBuffer()
    private var passed: PassedDescriptor?

    var isEmpty: Bool { bytes.isEmpty && last.isEmpty }

    /// Where the former process has read all of a request that was in the ring, and not the rest of it: what the rest has to
    /// bring along.
    mutating func takePassed() -> PassedDescriptor? { isEmpty ? passed.take() : nil }

    /// Takes what the daemon has not read.
    /// - Returns: false for a position that cannot be.
    mutating func fill(from lane: Lane) -> Bool {
        LaneSignal.leave.withBytes { bytes.append($0) }
        guard let unread = lane.rings.unreadOutput() else { return false }
        guard let passed = lane.sent, passed.end > unread.start else {
            bytes.append(unread.bytes)
            return true
        }
        let count = passed.start > unread.start ? Int(passed.start - unread.start) : 0
        bytes.append([UInt8](unread.bytes[..<count]))
        last.append([UInt8](unread.bytes[count...]))
        self.passed = passed
        return true
    }

    /// Sends as much as the socket takes.
    /// - Returns: `nil` when all of it was sent.
    mutating func send(_ socket: borrowing OwnedDescriptor) -> IOOutcome? {
        while !isEmpty {
            let outcome: IOOutcome
            if !bytes.isEmpty {
                outcome = SystemCalls.send(socket, bytes.readable)
            } else if let passed {
                outcome = Sockets.send(socket, last.readable, descriptor: passed.descriptor.number)
            } else {
                outcome = SystemCalls.send(socket, last.readable)
            }
            guard case .bytes(let count) = outcome else { return outcome }
            if bytes.isEmpty {
                last.consume(count)
                passed = nil
            } else {
                bytes.consume(count)
            }
        }
        return nil
    }
}
