// Operating-system threads.

internal import CLinux
internal import Glibc

/// A thread of the operating system (pthreads(7)).
public enum Thread {
    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        /// Threads inherit the fault scope of the thread that starts them.
        let faultScope = clinux_fault_scope()

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Lets the calling thread run sooner, and in shorter slices, than threads that compute: for one that mostly waits,
    /// while others wait for it.
    ///
    /// It gets no more processor time than before, and threads that it starts are ordinary ones. If the kernel is older
    /// than Linux 6.12 or the call is not allowed, nothing changes.
    /// - Source: sched_setattr(2) with `sched_runtime` of SCHED_OTHER; the scheduler is EEVDF
    ///   (Documentation/scheduler/sched-eevdf.rst in the kernel): its deadline is one slice after its turn began.
    public static func preferLatency() { _ = clinux_request_slice(shortSliceNanoseconds) }

    // The least that the kernel grants; a turn of a loop takes some 10 µs, a short read at most 250 µs.
    private static let shortSliceNanoseconds: UInt64 = 100_000

    /// Whether the calling thread may be busy for long: no clients wait for it as they do for a loop. False until set.
    public static var mayBlock: Bool {
        get { clinux_thread_may_block() }
        set { clinux_set_thread_may_block(newValue) }
    }

    private static let run: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { context in
        guard let context else { return nil }
        let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
        clinux_name_thread(start.name)
        clinux_set_fault_scope(start.faultScope)
        clinux_guard_stack(stackMarginByteCount)
        clinux_take_signal_stack()
        start.body()
        clinux_drop_signal_stack()
        clinux_flush_counted()
        return nil
    }

    /// Stack that must remain for returning, and for recursion that does not allocate.
    private static let stackMarginByteCount = 256 << 10

    /// The guard pages below a stack. Swift's compiler has no stack probes (the C parts have:
    /// -fstack-clash-protection), so no function may skip the guard in one step: scripts/check-deb.sh compares it with
    /// the largest frame of the programs. Costs addresses, no memory.
    static let guardByteCount = 256 << 10

    /// Starts a detached thread.
    /// - Parameters:
    ///   - name: at most 15 bytes, seen in `ps -L` and `top -H`.
    ///   - stackByteCount: size of its stack.
    ///   - body: runs on the thread, which ends with it.
    /// - Throws: `Errno` with EAGAIN when the system cannot make more threads.
    public static func start(name: String, stackByteCount: Int = 1 << 20, _ body: @escaping @Sendable () -> Void)
        throws(Errno)
    {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, stackByteCount)
        pthread_attr_setguardsize(&attributes, guardByteCount)
        defer { pthread_attr_destroy(&attributes) }
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var thread = pthread_t()
        do throws(Errno) {
            _ = try SystemCalls.call(.startThread) {
                // It returns the error number instead of setting errno.
                let result = pthread_create(&thread, &attributes, run, start.toOpaque())
                errno = result
                return result == 0 ? 0 : -1
            }
        } catch {
            start.release()
            throw error
        }
    }
}
