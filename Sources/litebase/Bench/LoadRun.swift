// A run from the outside: connect, start the threads, watch them, add up.

internal import LinuxSystem
import LiteBaseClient

/// Runs a plan against a daemon.
enum LoadRun {
    /// Runs to the end, or until Ctrl-C.
    /// - Parameters:
    ///   - plan: the load.
    ///   - endpoint: the daemon.
    ///   - watch: called ten times a second with what has been counted so far, and how long the run has lasted.
    /// - Returns: what was counted after the warm-up.
    /// - Throws: `ClientError` when the daemon cannot be reached, or has answered nothing for a long time.
    static func run(
        _ plan: LoadPlan, _ endpoint: Endpoint, watch: (LoadCounters, _ nanoseconds: Int64) -> Void
    ) throws(ClientError) -> LoadCounters {
        Process.raiseDescriptorLimit()
        let board = LoadBoard(threadCount: plan.threadCount)
        var sockets: [[Int32]] = []
        for index in 0..<plan.threadCount {
            sockets.append(try open(plan.connectionCount(ofThread: index), endpoint, plan.trusted))
        }
        let start = MonotonicInstant.now
        for index in 0..<plan.threadCount {
            try startThread(plan, endpoint, board, index, sockets[index], start)
        }
        while !board.isFinished {
            Interrupts.sleep(milliseconds: 100)
            if Interrupts.isRaised { board.requestStop() }
            watch(board.total, MonotonicInstant.now.nanoseconds(since: start))
            if Interrupts.isRaised { Process.sleep(microseconds: 10_000) }
        }
        if let failure = board.failure { throw failure }
        return board.total
    }

    private static func startThread(
        _ plan: LoadPlan, _ endpoint: Endpoint, _ board: LoadBoard, _ index: Int, _ sockets: [Int32],
        _ start: MonotonicInstant
    ) throws(ClientError) {
        do throws(Errno) {
            try Thread.start(name: "bench-\(index)") {
                do throws(Errno) {
                    // Beside a lane, looking is cheaper than being woken.
                    let loop = try EventLoop(spinNanosecondsMax: plan.transport == .sharedMemory ? 50_000 : 0)
                    let worker = LoadWorker(plan, endpoint, loop, board, index: index)
                    worker.run(sockets, start: start)
                    board.finish(thread: index, worker.failure)
                } catch {
                    board.finish(thread: index, .cannotConnect(endpoint, error))
                }
            }
        } catch {
            throw .invalidRequest("cannot start a thread: \(error); give fewer --threads")
        }
    }

    private static func open(
        _ count: Int, _ endpoint: Endpoint, _ trusted: TrustedUsers
    ) throws(ClientError) -> [Int32] {
        var sockets: [Int32] = []
        for _ in 0..<count {
            do throws(Errno) {
                sockets.append(try connect(endpoint, trusted).release())
            } catch {
                throw .cannotConnect(endpoint, error)
            }
        }
        return sockets
    }

    /// A connected, non-blocking socket.
    static func connect(_ endpoint: Endpoint, _ trusted: TrustedUsers) throws(Errno) -> OwnedDescriptor {
        let socket: OwnedDescriptor
        switch endpoint {
        case .unix(let path): socket = try Sockets.connectUnix(path: path)
        case .loopback(let port):
            socket = try Sockets.connectLoopback(port: port)
            Sockets.setNoDelay(socket)
        }
        try Sockets.prepareInherited(socket.number)
        do throws(ClientError) { try trusted.check(socket, endpoint) } catch { throw .permissionDenied }
        return socket
    }
}
