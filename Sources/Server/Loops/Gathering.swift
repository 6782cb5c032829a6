// Answers of all loops to one question.

internal import LinuxSystem
internal import Synchronization

/// Combines the answers of all loops.
final class Gathering<Sum: Sendable>: Sendable {
    private let state: Mutex<(sum: Sum, missing: Int)>

    /// - Parameters:
    ///   - start: the sum without any answer.
    ///   - missing: the number of answers to come.
    init(_ start: Sum, missing: Int) { state = Mutex((start, missing)) }

    /// Adds the answer of one loop.
    /// - Returns: the sum for the last one, `nil` for the others.
    func add(_ combine: (inout Sum) -> Void) -> Sum? {
        state.withLock { state in
            combine(&state.sum)
            state.missing -= 1
            return state.missing == 0 ? state.sum : nil
        }
    }
}

extension Connection {
    /// Asks every loop, and returns to this one with all the answers.
    ///
    /// - Parameters:
    ///   - operation: the request that waits for it; ended by `finish`.
    ///   - start: the sum without any answer.
    ///   - ask: adds one loop's answer; runs on that loop, under a lock.
    ///   - finish: runs on this connection's loop; the connection may be closed by then.
    func gather<Sum: Sendable>(
        for operation: Operation, _ start: Sum, _ ask: @escaping @Sendable (LoopContext, inout Sum) -> Void,
        _ finish: @escaping (Sum) -> Void
    ) {
        askLoops(for: operation, start, { context, gathering in gathering.add { ask(context, &$0) } }, finish)
    }

    /// Has every loop do something if it is the one that can, and returns to this one with what came of it.
    ///
    /// - Parameters:
    ///   - operation: the request that waits for it; ended by `finish`.
    ///   - act: runs on each loop; `nil` where it was nothing for that one.
    ///   - finish: runs on this connection's loop, with `nil` if no loop could; the connection may be closed by then.
    func delegate<Result: Sendable>(
        for operation: Operation, _ act: @escaping @Sendable (LoopContext) -> Result?,
        _ finish: @escaping (Result?) -> Void
    ) {
        let none: Result? = nil
        askLoops(
            for: operation, none,
            { context, gathering in
                // Whatever it sets off may take its time, and come back here: under no lock.
                let result = act(context)
                return gathering.add { if let result { $0 = result } }
            }, finish)
    }

    /// Asks every loop; `answer` adds what one of them says, on that loop, and returns the sum for the last one.
    private func askLoops<Sum: Sendable>(
        for operation: Operation, _ start: Sum,
        _ answer: @escaping @Sendable (LoopContext, Gathering<Sum>) -> Sum?, _ finish: @escaping (Sum) -> Void
    ) {
        operation.progress = .running
        track(operation)
        let mailbox = context.loop.mailbox
        let here = LoopBound(finish, mailbox)
        let loops = context.shared.loops
        let gathering = Gathering(start, missing: loops.count)
        for loop in loops {
            loop.submit { context in
                guard let sum = answer(context, gathering) else { return }
                mailbox.submit { here.wrapped(sum) }
            }
        }
    }
}
