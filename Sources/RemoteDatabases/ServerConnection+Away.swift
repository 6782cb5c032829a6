// Long rows and long requests. What a client library does with one of many megabytes, encoding it, and freeing its
// memory take a loop tens of milliseconds. A worker does that, and the loop does not use the connection meanwhile.

package import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem

/// Whether a worker has the connection, and what the loop has to do when it returns.
package struct Absence {
    /// A long run that the worker has to send.
    struct Sending {
        /// Checks the run first, if set.
        var driver: (any RemoteDriver)?
    }

    var sending: Sending?
    /// While it is true, the loop uses nothing but this struct.
    package var isAway = false
    /// A worker did part of the present run: it also does the rest, because there is much to free.
    package var hasBeen = false
    /// The run has to stop.
    var isStopDue = false
    /// The server has to be cancelled.
    var isCancelDue = false
    /// Timers that have fired.
    var dueTimers: [ServerConnection.TimerToken] = []
    /// The transaction state when the worker began.
    fileprivate var transaction = TransactionState.none
}

/// Carries storage to the worker that frees it.
private final class Disposal: @unchecked Sendable {
    var buffer = ByteBuffer()
}

extension ServerConnection {
    /// Size of a row from which a worker does the work: a loop encodes that much in a millisecond or two, at worst.
    package static let heavyByteCountMin = 128 << 10
    /// Longest time that a worker waits for more of a row; a run that is stopped meanwhile continues at once.
    private static let pieceMilliseconds: Int64 = 2
    private static let workMilliseconds: Int64 = 20

    /// A client library's buffers grow to the longest message, and keep that size as long as the connection lives.
    package final func noteMessageSize(_ byteCount: Int, isSent: Bool = false) {
        if byteCount > Self.keptMessageByteCountMax { isWorn = true }
        if isSent {
            buffers.sent = max(buffers.sent, byteCount)
        } else {
            buffers.received = max(buffers.received, byteCount)
        }
    }

    /// Bytes of those buffers, about.
    final var keptByteCount: Int { buffers.sent + buffers.received }

    private static let keptMessageByteCountMax = 1 << 20

    /// Frees storage, which takes a loop too long if there is much of it (munmap(2)).
    package final func giveBack(_ buffer: inout ByteBuffer) {
        guard buffer.capacity > Self.keptMessageByteCountMax, let promptWorkers else { return buffer.releaseStorage() }
        let parcel = Disposal()
        swap(&parcel.buffer, &buffer)
        promptWorkers.submit(for: LinkOwner.daemon.uid) { parcel.buffer.releaseStorage() }
    }

    /// The transaction state, for callers that do not know the connection's phase.
    final var shownTransaction: TransactionState { absence.isAway ? absence.transaction : transaction }

    /// Has a worker advance the run.
    final func leaveLoop(_ context: DriverContext) {
        absence.transaction = transaction
        absence.hasBeen = true
        absence.isAway = true
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let parcel = HandedOver((connection: self, sending: absence.sending.take()))
        context.promptWorkers.submit(for: lastUID ?? LinkOwner.daemon.uid) {
            let progress = HandedOver(parcel.value.connection.work(parcel.value.sending))
            mailbox.submit { here.wrapped.didComeBack(progress.value) }
        }
    }

    /// - Thread: a worker's.
    private func work(_ sending: Absence.Sending?) -> Progress {
        if let sending, let run {
            do throws(DriverError) {
                try sending.driver?.check(run, mode)
                try send(run)
            } catch {
                run.error = error
                return .ended
            }
        }
        return advanceAway()
    }

    /// Advances, and continues while more arrives, or is taken, soon: passing the connection back and forth for each
    /// piece of a row or a text would cost more.
    /// - Thread: a worker's; a loop's, where none can be had.
    package final func advanceAndRead() -> Progress {
        let end = MonotonicInstant.now.advanced(byMilliseconds: Self.workMilliseconds)
        var progress = advance(isReadable: false)
        while case .waiting = progress {
            // At least once: that is what it was started for.
            progress = advance(isReadable: true)
            guard case .waiting(let wanted) = progress, Thread.mayBlock, run?.stopReason == nil,
                MonotonicInstant.now < end, isSoon(wanted)
            else { break }
        }
        return progress
    }

    private func isSoon(_ wanted: Readiness) -> Bool {
        let end = MonotonicInstant.now.advanced(byMilliseconds: Self.pieceMilliseconds)
        return Sockets.wait(for: socketNumber, wanted, until: end)
    }

    private func didComeBack(_ progress: Progress) {
        absence.isAway = false
        if absence.isCancelDue {
            absence.isCancelDue = false
            sendCancel()
        }
        let stopped = absence.isStopDue ? run : nil
        absence.isStopDue = false
        let timers = absence.dueTimers
        absence.dueTimers.removeAll()
        for timer in timers { setTimer(timer, milliseconds: 0) }
        // Requests that have waited come before the next absence.
        let isWaiting = if case .waiting = progress { true } else { false }
        if stopped == nil, timers.isEmpty { beginTurn() } else { turnEnd = MonotonicInstant(nanoseconds: 0) }
        goOn(after: isWaiting && !timers.isEmpty ? .yielding : progress).tell()
        // It may be another loop's by now, unless it still has that run.
        if let stopped, let reason = stopped.stopReason, stopped.execution === self {
            stop(stopped, reason).tell(stopped)
        }
    }
}
