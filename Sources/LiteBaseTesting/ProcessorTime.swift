// Bounds of time that hold on a busy machine, too.

internal import Glibc

/// What a piece of code takes of a processor.
public enum ProcessorTime {
    /// Seconds that this thread takes for `body`: those in which others have the core do not count (clock_gettime(2)).
    public static func seconds(_ body: () -> Void) -> Double {
        let start = now
        body()
        return now - start
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
