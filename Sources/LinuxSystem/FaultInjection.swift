// Debug builds only: makes system calls fail on demand, "the n-th call of this name fails with that errno".

#if DEBUG
    internal import CLinux
    internal import Synchronization

    /// A plan of failures that the funnel consults before each system call.
    ///
    /// Tests sweep `after` over 0, 1, 2, … until a scenario passes untouched, so that every call site has failed once. A
    /// plan concerns the threads of one scope only: tests run side by side in one process.
    /// - Thread: any.
    public enum FaultInjection {
        struct Plan {
            var scope: UInt64
            var call: SystemCall
            var error: Errno
            var skip: Int
            var times: Int
        }

        private static let plans = Mutex<[Plan]>([])
        private static let lastScope = Atomic<UInt64>(0)

        /// Runs `body` in a scope of its own; threads that are started in it belong to it. Plans end with it.
        public static func isolated<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure)
            -> Result
        {
            let outer = clinux_fault_scope()
            clinux_set_fault_scope(lastScope.add(1, ordering: .relaxed).newValue)
            defer {
                reset()
                clinux_set_fault_scope(outer)
            }
            return try body()
        }

        /// Lets calls fail with `error` in the current scope: the first `after` calls pass, the next `times` fail.
        public static func fail(_ call: SystemCall, with error: Errno, after skip: Int = 0, times: Int = 1) {
            let scope = clinux_fault_scope()
            precondition(scope != 0, "faults are injected within isolated { }")
            plans.withLock { plans in
                plans.append(Plan(scope: scope, call: call, error: error, skip: skip, times: times))
            }
        }

        /// Forgets the plans of the current scope.
        /// - Returns: how many planned failures were never reached.
        @discardableResult
        public static func reset() -> Int {
            let scope = clinux_fault_scope()
            return plans.withLock { plans in
                let left = plans.reduce(0) { $0 + ($1.scope == scope ? $1.times : 0) }
                plans.removeAll { $0.scope == scope }
                return left
            }
        }

        static func next(for call: SystemCall) -> Errno? {
            let scope = clinux_fault_scope()
            guard scope != 0 else { return nil }
            return plans.withLock { plans in
                for index in plans.indices where plans[index].scope == scope && plans[index].call == call {
                    if plans[index].times == 0 { continue }
                    if plans[index].skip > 0 {
                        plans[index].skip -= 1
                        continue
                    }
                    plans[index].times -= 1
                    return plans[index].error
                }
                return nil
            }
        }
    }
#endif
