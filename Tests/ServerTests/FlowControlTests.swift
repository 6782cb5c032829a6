// The flow control against every order of events: whatever is sent, whatever the limits, and however the client reads, there
// is no state in which something waits and nothing will wake it.

import LinuxSystem
import LiteBaseTesting
import Testing

@testable import Server

/// A connection that is nothing but numbers, driven as `Connection` drives the real one.
private struct FlowPlay {
    enum Kind { case immediate, statement, paged, long, fetch, cancel }

    struct Request {
        var id: Int
        var kind: Kind
        /// Of the request itself; complete with its last byte.
        var byteCount: Int
        /// `nil` without a session.
        var session: Int?
        /// Sizes of its frames; a statement's last one is its end.
        var frames: [Int]
        /// What `fetch` and `cancel` mean.
        var target = 0
    }

    struct Operation {
        var request: Request
        var stage = FlowControl.Stage.working
        var isStopped = false
    }

    var generator: SeededGenerator
    var flow = FlowControl()
    let inFlightMax: Int
    // The client.
    var toSend: [Request] = []
    var sendOffset = 0
    var unanswered: Set<Int> = []
    var fetchesDue: [Int] = []
    var isHalfClosing: Bool
    // The kernel.
    var inbound: [Request] = []
    var inboundByteCount = 0
    var inboundOffset = 0
    var outbound = 0
    let socketByteCountMax: Int
    // The daemon.
    var input: [Request] = []
    var inputByteCount = 0
    var output = 0
    var hasReadEnd = false
    var actions: FlowControl.Actions = .read
    var isContinuationScheduled = false
    var operations: [Int: Operation] = [:]
    var queues: [[Int]]
    var active: [Int?]
    var decoding: Request?
    var refusedCount = 0
    var turnLength: Int

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        inFlightMax = Int.random(in: 1...12, using: &generator)
        socketByteCountMax = Int.random(in: 1_000...400_000, using: &generator)
        isHalfClosing = Bool.random(using: &generator)
        turnLength = Int.random(in: 1...20, using: &generator)
        let sessionCount = Int.random(in: 0...3, using: &generator)
        queues = Array(repeating: [], count: sessionCount)
        active = Array(repeating: nil, count: sessionCount)
        for id in 1...Int.random(in: 1...60, using: &generator) { toSend.append(makeRequest(id)) }
        unanswered = Set(toSend.map(\.id))
    }

    private mutating func makeRequest(_ id: Int) -> Request {
        let kind: Kind =
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<2: .immediate
            case 2..<4: .long
            case 4..<6: .paged
            case 6 where id > 1: .cancel
            default: .statement
            }
        let session =
            queues.isEmpty || kind == .immediate || kind == .cancel || Int.random(in: 0..<3, using: &generator) == 0
            ? nil : Int.random(in: 0..<queues.count, using: &generator)
        let sizes = [1, 100, 10_000, 60_000, 160_000, 300_000]
        let frameCount = kind == .immediate || kind == .cancel ? 1 : Int.random(in: 1...4, using: &generator)
        return Request(
            id: id, kind: kind, byteCount: Int.random(in: 1...30_000, using: &generator), session: session,
            frames: (0..<frameCount).map { _ in sizes[Int.random(in: 0..<sizes.count, using: &generator)] },
            target: kind == .cancel ? Int.random(in: 1..<id, using: &generator) : 0)
    }

    // MARK: What can happen

    /// Lets one of the things happen that can; the client may also be slow.
    /// - Returns: false when there is none.
    mutating func step() -> Bool {
        var events: [(inout FlowPlay) -> Void] = []
        if !toSend.isEmpty, inboundByteCount < socketByteCountMax { events.append { $0.clientSends() } }
        if outbound > 0 { events.append { $0.clientReads() } }
        if !fetchesDue.isEmpty, !isHalfClosing { events.append { $0.clientFetches() } }
        if actions.contains(.read), isReadable { events.append { $0.receive() } }
        if actions.contains(.write), output > 0, outbound < socketByteCountMax { events.append { $0.finishTurn() } }
        if isContinuationScheduled { events.append { $0.continuationFires() } }
        if decoding != nil { events.append { $0.decoded() } }
        for id in operations.keys.sorted() where operations[id]?.stage == .working {
            events.append { $0.driverActs(id, isStarting: false) }
        }
        guard !events.isEmpty else { return false }
        events[Int.random(in: 0..<events.count, using: &generator)](&self)
        return true
    }

    private var isReadable: Bool { inboundByteCount > 0 || (toSend.isEmpty && isHalfClosing && !hasReadEnd) }

    private mutating func clientSends() {
        let request = toSend.removeFirst()
        inbound.append(request)
        inboundByteCount += request.byteCount
    }

    private mutating func clientReads() {
        outbound -= Int.random(in: 1...outbound, using: &generator)
    }

    private mutating func clientFetches() {
        let target = fetchesDue.removeFirst()
        let kind: Kind = Bool.random(using: &generator) ? .fetch : .cancel
        toSend.append(Request(id: -target, kind: kind, byteCount: 30, frames: [], target: target))
    }

    /// What is left, for who looks for the reason.
    var summary: String {
        let waiting = operations.values.map { "\($0.request.id) \($0.request.kind) \($0.stage)" }
        return "\(flow), actions \(actions), to send \(toSend.count), inbound \(inbound.count), input \(input.count), "
            + "output \(output), outbound \(outbound), decoding \(decoding?.id ?? 0), queues \(queues), active \(active), "
            + "in flight \(waiting) of \(inFlightMax), unanswered \(unanswered.sorted())"
    }

    // MARK: The connection

    private mutating func receive() {
        if inbound.isEmpty {
            hasReadEnd = true
            processInput()
            return finishTurn()
        }
        // Part of a request is input like any other, and not looked at before its last byte is there.
        let byteCount = min(inboundByteCount, Int.random(in: 1...65_536, using: &generator))
        inboundByteCount -= byteCount
        inputByteCount += byteCount
        inboundOffset += byteCount
        while let first = inbound.first, first.byteCount <= inboundOffset {
            inboundOffset -= first.byteCount
            input.append(inbound.removeFirst())
        }
        processInput()
        finishTurn()
    }

    private mutating func processInput() {
        var count = 0
        while mayLook {
            guard let request = input.first else {
                flow.isInputReady = false
                return
            }
            inputByteCount -= request.byteCount
            input.removeFirst()
            if request.kind == .long {
                flow.isInputReady = true
                flow.decodingDidBegin()
                decoding = request
                return
            }
            dispatch(request)
            count += 1
            if count == turnLength {
                flow.isInputReady = inputByteCount > 0
                return
            }
        }
        flow.isInputReady = inputByteCount > 0
    }

    private var mayLook: Bool {
        mutating get { flow.mayLook(outputByteCount: output, requestsInFlightMax: inFlightMax) }
    }

    private mutating func decoded() {
        guard let request = decoding else { return }
        decoding = nil
        flow.decodingDidEnd()
        dispatch(request)
        processInput()
        finishTurn()
    }

    private mutating func dispatch(_ request: Request) {
        switch request.kind {
        case .immediate: reply(request.id, request.frames[0])
        case .fetch: fetch(request.target)
        case .cancel:
            stop(request.target)
            if request.id > 0 { reply(request.id, 60) }
        case .statement, .paged, .long:
            if operations.count >= inFlightMax {
                refusedCount += 1
                return reply(request.id, 100)
            }
            submit(request)
        }
    }

    private mutating func reply(_ id: Int, _ byteCount: Int) {
        output += byteCount
        let wasDue = unanswered.remove(id) != nil
        #expect(wasDue, "answered twice")
    }

    private mutating func submit(_ request: Request) {
        guard let session = request.session else {
            operations[request.id] = Operation(request: request)
            flow.requestDidBegin(.working)
            return start(request.id)
        }
        queues[session].append(request.id)
        let isNext = active[session] == nil && queues[session].count == 1
        let stage: FlowControl.Stage = isNext && flow.mayProduce(outputByteCount: output) ? .working : .queued
        operations[request.id] = Operation(request: request, stage: stage)
        flow.requestDidBegin(stage)
        if stage == .working { return startNext(session) }
        if isNext { flow.requestWasHeld() }
    }

    private mutating func startNext(_ session: Int) {
        var count = 0
        while flow.mayProduce(outputByteCount: output) {
            guard active[session] == nil, !queues[session].isEmpty else { return }
            let id = queues[session].removeFirst()
            active[session] = id
            move(id, to: .working)
            start(id)
            count += 1
            if active[session] == nil, !queues[session].isEmpty, count == turnLength { break }
        }
        if active[session] == nil, !queues[session].isEmpty { flow.requestWasHeld() }
    }

    /// What is quick ends within its start.
    private mutating func start(_ id: Int) {
        if Int.random(in: 0..<3, using: &generator) > 0 { driverActs(id, isStarting: true) }
    }

    private mutating func move(_ id: Int, to stage: FlowControl.Stage) {
        guard let former = operations[id]?.stage, former != stage else { return }
        flow.requestDidMove(from: former, to: stage)
        operations[id]?.stage = stage
    }

    /// A frame is complete, or the request ends.
    private mutating func driverActs(_ id: Int, isStarting: Bool) {
        guard let operation = operations[id] else { return }
        if operation.isStopped { return end(id, 100, isStarting) }
        let frame = operations[id]?.request.frames.removeFirst() ?? 0
        if operation.request.frames.count == 1 { return end(id, frame, isStarting) }
        output += frame
        if operation.request.kind == .paged {
            move(id, to: .waitingForFetch)
            fetchesDue.append(id)
        } else if !flow.mayProduce(outputByteCount: output) {
            move(id, to: .waitingForOutput)
        }
        if !isStarting { finishTurn() }
    }

    private mutating func end(_ id: Int, _ byteCount: Int, _ isStarting: Bool) {
        move(id, to: .working)
        reply(id, byteCount)
        let session = operations[id]?.request.session
        if let session, active[session] == id { active[session] = nil }
        operations[id] = nil
        flow.requestDidEnd(.working)
        if isStarting { return }
        if let session { startNext(session) }
        finishTurn()
    }

    private mutating func fetch(_ id: Int) {
        guard operations[id]?.stage == .waitingForFetch else { return }
        move(id, to: flow.mayProduce(outputByteCount: output) ? .working : .waitingForOutput)
    }

    private mutating func stop(_ id: Int) {
        guard let operation = operations[id] else { return }
        if operation.stage == .queued, let session = operation.request.session {
            queues[session].removeAll { $0 == id }
            return end(id, 100, true)
        }
        operations[id]?.isStopped = true
        move(id, to: .working)
    }

    private mutating func continuationFires() {
        isContinuationScheduled = false
        flow.continuationDidBegin()
        // Another user's turn.
        if Int.random(in: 0..<4, using: &generator) == 0 {
            if flow.continuationIsDue() { isContinuationScheduled = true }
            return
        }
        if flow.takeHeldRequests() {
            for session in queues.indices where active[session] == nil && !queues[session].isEmpty {
                startNext(session)
            }
        }
        processInput()
        finishTurn()
    }

    private mutating func finishTurn() {
        if hasReadEnd {
            for id in operations.keys.sorted() where operations[id]?.stage == .waitingForFetch { stop(id) }
        }
        let sent = min(output, max(0, socketByteCountMax - outbound))
        output -= sent
        outbound += sent
        actions = flow.turnDidEnd(
            FlowControl.Turn(
                outputByteCount: output, inputByteCount: inputByteCount, inputByteCountMax: 100_000,
                requestsInFlightMax: inFlightMax, mayRead: !hasReadEnd, mayLook: true))
        if actions.contains(.resumeRows) {
            for id in operations.keys.sorted() where operations[id]?.stage == .waitingForOutput {
                move(id, to: .working)
            }
        }
        if actions.contains(.goOn) {
            #expect(!isContinuationScheduled, "scheduled twice")
            isContinuationScheduled = true
        }
    }
}

@Suite("Flow control")
struct FlowControlTests {
    /// More with `LITEBASE_FLOW_ROUNDS`.
    private static let roundCount = Process.environment("LITEBASE_FLOW_ROUNDS").flatMap { Int($0) } ?? 3_000

    @Test func everythingIsAnsweredInWhateverOrder() {
        var seeds = SeededGenerator.fresh
        var refusedCount = 0
        for round in 0..<Self.roundCount {
            let seed = seeds.next()
            var play = FlowPlay(seed: seed)
            var stepCount = 0
            while play.step(), stepCount < 200_000 { stepCount += 1 }
            let place = "round \(round), seed \(seed) of LITEBASE_TEST_SEED=\(seeds.seed)"
            #expect(stepCount < 200_000, "it goes round in circles: \(place)")
            let isDone = play.unanswered.isEmpty && play.output == 0 && play.operations.isEmpty
            #expect(isDone, "it hangs: \(place); \(play.summary)")
            refusedCount += play.refusedCount
            if !play.unanswered.isEmpty { break }
        }
        #expect(refusedCount > 0, "no connection was ever full of what waits for a fetch")
    }

    @Test func anOutputBetweenTheMarksIsAsItWas() {
        var flow = FlowControl()
        let (low, high) = (FlowControl.outputLowWaterByteCount, FlowControl.outputHighWaterByteCount)
        let answers = [high - 1, high, low].map { flow.mayProduce(outputByteCount: $0) }
        #expect(answers == [true, false, false])
        flow.requestDidBegin(.waitingForOutput)
        let actions = [low, low - 1].map { flow.turnDidEnd(Self.turn(output: $0)) }
        #expect(actions == [.write, [.write, .resumeRows, .read]])
        let isOpen = flow.mayProduce(outputByteCount: low)
        #expect(isOpen)
    }

    @Test func aContinuationIsScheduledOnce() {
        var flow = FlowControl()
        flow.requestWasHeld()
        var actions = [flow.turnDidEnd(Self.turn()), flow.turnDidEnd(Self.turn())]
        flow.continuationDidBegin()
        let hasHeld = flow.takeHeldRequests()
        #expect(hasHeld)
        actions.append(flow.turnDidEnd(Self.turn()))
        #expect(actions == [[.goOn, .read], .read, .read])
    }

    private static func turn(output: Int = 0) -> FlowControl.Turn {
        FlowControl.Turn(
            outputByteCount: output, inputByteCount: 0, inputByteCountMax: 1, requestsInFlightMax: 10, mayRead: true,
            mayLook: true)
    }
}
