// One connection under load: as many requests in flight as it has slots, each answered one replaced at once.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

/// A connection that keeps its slots busy. The id of a request is its slot's number.
///
/// - Thread: its worker's.
final class LoadConnection: EventSource {
    private let socket: OwnedDescriptor
    // The worker outlives its loop, and the loop all connections: no reference counting for each reply.
    private unowned(unsafe) let worker: LoadWorker
    /// The beginning of a frame whose end has not come yet.
    private var input = ByteBuffer()
    private var output = ByteBuffer()
    /// When the request of a slot was sent; 0 when none is in flight.
    private var sentAt: [Int64]
    private var waitsForRoom = false
    /// Where the messages are, unless they are on the socket.
    private var lane: LoadLane?
    private var laneRequest: LaneRequest?
    private var isLost = false

    /// Storage that is kept for torn frames.
    private static let keptByteCountMax = 64 << 10

    init(_ socket: consuming OwnedDescriptor, _ worker: LoadWorker) {
        self.socket = socket
        self.worker = worker
        sentAt = Array(repeating: 0, count: worker.plan.pipelineDepth)
    }

    func register(with loop: EventLoop) throws(Errno) { try loop.register(self, socket, for: .readable) }
    func deregister(from loop: EventLoop) { loop.deregister(self, socket) }

    /// Sends the first requests, if need be when there is a lane for them.
    func start() {
        switch worker.plan.transport {
        case .socket: begin()
        case .sharedMemory:
            let request = LaneRequest()
            request.append(to: &output)
            laneRequest = request
            flush()
        }
    }

    private func begin() {
        let now = MonotonicInstant.now
        for slot in sentAt.indices { send(slot, now) }
        flush()
    }

    override func handle(_ readiness: Readiness) {
        if let laneRequest {
            finish(laneRequest)
        } else if let lane {
            takeSignals(lane)
        } else if readiness != .writable {
            receive()
        }
        flush()
    }

    override var hasNews: Bool { lane?.rings.hasNews ?? false }
    override func fallAsleep() -> Bool { lane?.rings.fallAsleep() ?? true }

    override func handleNews() {
        receive()
        flush()
    }

    private func send(_ slot: Int, _ now: MonotonicInstant) {
        guard worker.takeTurn() else {
            sentAt[slot] = 0
            return
        }
        sentAt[slot] = now.nanoseconds
        worker.plan.template.append(id: UInt32(slot), &worker.source, into: &output)
    }

    private func flush() {
        guard !isLost else { return }
        defer { lane?.ringIfNeeded(socket) }
        while !output.isEmpty {
            switch lane?.rings.write(output.readable) ?? SystemCalls.send(socket, output.readable) {
            case .bytes(let count):
                worker.counters.bytesSent &+= UInt64(count)
                output.consume(count)
            case .wouldBlock: return waitForRoom(true)
            case .endOfStream: return lose("the server closed the connection")
            case .failed(let error):
                // The daemon's last messages are more useful than the broken pipe.
                receive()
                return lose("the connection broke off: \(error)")
            }
        }
        if waitsForRoom { waitForRoom(false) }
    }

    private func waitForRoom(_ waits: Bool) {
        guard waits != waitsForRoom else { return }
        waitsForRoom = waits
        if let lane {
            lane.rings.wait(forInput: true, forRoom: waits)
            return worker.heat(self)
        }
        worker.setInterest(self, socket, waits ? [.readable, .writable] : .readable)
    }

    private func receive() {
        let target = input.isEmpty ? worker.scratch : input.writable(worker.scratch.count)
        switch lane?.rings.read(into: target) ?? SystemCalls.read(socket, into: target) {
        case .bytes(let count):
            let now = MonotonicInstant.now
            worker.received(count, at: now)
            if input.isEmpty {
                let bytes = UnsafeRawBufferPointer(rebasing: target[..<count])
                let used = take(bytes, now)
                if used < count { input.append(UnsafeRawBufferPointer(rebasing: bytes[used...])) }
            } else {
                input.commit(count)
                input.consume(take(input.readable, now))
                if input.isEmpty, input.capacity > Self.keptByteCountMax { input.releaseStorage() }
            }
        case .wouldBlock: break
        case .endOfStream: lose("the server closed the connection")
        case .failed(let error): lose("the connection broke off: \(error)")
        }
    }

    /// Goes over to the lane that the daemon has granted.
    private func finish(_ request: LaneRequest) {
        switch request.receive(socket) {
        case .waiting: return
        case .granted(let lane):
            laneRequest = nil
            self.lane = lane
            lane.rings.wait(forInput: true, forRoom: false)
            worker.heat(self)
            begin()
        case .refused: worker.laneRefused()
        case .failed(let reason): lose(reason)
        }
    }

    /// Receives what the daemon sends beside the lane: that it has written, or that the lane is over.
    private func takeSignals(_ lane: LoadLane) {
        worker.heat(self)
        if let reason = lane.receiveSignals(socket) {
            receive()
            lose(reason)
        }
    }

    /// Takes all whole frames.
    /// - Returns: their bytes.
    private func take(_ bytes: UnsafeRawBufferPointer, _ now: MonotonicInstant) -> Int {
        var offset = 0
        while bytes.count &- offset >= 4, !isLost {
            let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            let byteCount = Int(UInt32(bigEndian: word))
            if byteCount > WireLimits.frameByteCountCeiling { lose("the answer is not of the LiteBase protocol") }
            guard bytes.count &- offset &- 4 >= byteCount else { break }
            let start = offset &+ 4
            answer(UnsafeRawBufferPointer(rebasing: bytes[start..<start &+ byteCount]), now)
            offset = start &+ byteCount
        }
        return offset
    }

    private func answer(_ body: UnsafeRawBufferPointer, _ now: MonotonicInstant) {
        do throws(DecodeError) {
            let reply = try ScannedReply(body)
            guard let id = reply.id, Int(id) < sentAt.count, sentAt[Int(id)] != 0 else {
                let reason = reply.isError ? ScannedReply.error(in: body).message : "a reply belongs to no request"
                return lose(reason)
            }
            guard reply.isLast else { return }
            finish(Int(id), reply, body, now)
        } catch {
            lose("a reply could not be read: \(error.message)")
        }
    }

    private func finish(
        _ slot: Int, _ reply: ScannedReply, _ body: UnsafeRawBufferPointer, _ now: MonotonicInstant
    ) {
        if reply.isError {
            let (code, message) = ScannedReply.error(in: body)
            worker.requestFailed(code, message)
        } else {
            worker.counters.rowCount &+= reply.rowCount
            worker.requestEnded(nanoseconds: now.nanoseconds &- sentAt[slot])
        }
        send(slot, now)
    }

    private func lose(_ reason: String) {
        guard !isLost else { return }
        isLost = true
        worker.connectionLost(self, unanswered: sentAt.count { $0 != 0 }, reason)
    }
}
