// Debug builds only: makes system calls fail on demand, "the n-th call of this name fails with that errno".

#if DEBUG
    internal import Synchronization

    /// A plan of failures that the funnel consults before each system call.
    ///
    /// Tests sweep `after` over 0, 1, 2, … until a scenario passes untouched, so that every call site has failed once.
    /// - Thread: any.
    public enum FaultInjection {
        struct Plan {
            var call: SystemCall
            var error: Errno
            var skip: Int
            var times: Int
        }

        private static let plans = Mutex<[Plan]>([])
        private static let active = Atomic<Bool>(false)

        /// Lets the calls of `call` fail with `error`: the first `after` calls pass, the next `times` fail.
        public static func fail(_ call: SystemCall, with error: Errno, after skip: Int = 0, times: Int = 1) {
            plans.withLock { $0.append(Plan(call: call, error: error, skip: skip, times: times)) }
            active.store(true, ordering: .releasing)
        }

        /// Forgets all plans.
        /// - Returns: how many planned failures were never reached.
        @discardableResult
        public static func reset() -> Int {
            active.store(false, ordering: .releasing)
            return plans.withLock { plans in
                let left = plans.reduce(0) { $0 + $1.times }
                plans.removeAll()
                return left
            }
        }

        static func next(for call: SystemCall) -> Errno? {
            guard active.load(ordering: .acquiring) else { return nil }
            return plans.withLock { plans in
                for index in plans.indices where plans[index].call == call && plans[index].times > 0 {
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
