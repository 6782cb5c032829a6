// Long rows: what a client library does with one of many megabytes, its encoding, and giving its memory back, take a loop tens of
// milliseconds. A worker does that, and the loop keeps its hands off the connection meanwhile.

internal import LinuxSystem

/// Whether a worker has the connection, and what its loop was asked for meanwhile.
struct Absence {
    /// Nothing but this is touched by the loop then.
    var isAway = false
    /// Part of the present run was done by a worker: the rest is, too, since it has much to give back.
    var hasBeen = false
    /// The run is to stop.
    var isStopDue = false
    /// The server is to be told.
    var isCancelDue = false
    /// Those that have run out.
    var dueTimers: [ServerConnection.TimerToken] = []
    /// As it was when the worker began.
    fileprivate var transaction = TransactionState.none
}

extension ServerConnection {
    /// Bytes of a row from which on a worker does the work: a loop encodes so many within a millisecond or two, at worst.
    static let heavyByteCountMin = 128 << 10
    /// Longest time that a worker waits for more of a row; one that is stopped meanwhile goes on at once.
    private static let pieceMilliseconds: Int64 = 2
    private static let workMilliseconds: Int64 = 20

    /// A client library's buffers grow to the longest message, and keep that size as long as the connection lives.
    final func noteMessageSize(_ byteCount: Int) {
        if byteCount > Self.keptMessageByteCountMax { isWorn = true }
    }

    private static let keptMessageByteCountMax = 1 << 20

    /// The state of the transaction, for those who do not know what the connection does at the moment.
    final var shownTransaction: TransactionState { absence.isAway ? absence.transaction : transaction }

    /// Has a worker advance.
    final func leaveLoop(_ context: DriverContext) {
        absence.transaction = transaction
        absence.hasBeen = true
        absence.isAway = true
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let parcel = HandedOver(self)
        context.writers.submit(for: lastUID ?? LinkOwner.daemon.uid) {
            let progress = HandedOver(parcel.value.advanceAway())
            mailbox.submit { here.wrapped.didComeBack(progress.value) }
        }
    }

    /// Advances, and reads on as long as more comes soon: for each piece of a row to hand the connection to and fro would cost more.
    /// - Thread: a worker's; a loop's, where none can be had.
    final func advanceAndRead() -> Progress {
        let end = MonotonicInstant.now.advanced(byMilliseconds: Self.workMilliseconds)
        var progress = advance(isReadable: false)
        while case .waiting(.readable) = progress {
            // Once at least: it came for that.
            progress = advance(isReadable: true)
            guard Thread.mayBlock, run?.stopReason == nil, MonotonicInstant.now < end, hasMore else { break }
        }
        return progress
    }

    private var hasMore: Bool {
        let end = MonotonicInstant.now.advanced(byMilliseconds: Self.pieceMilliseconds)
        return Sockets.wait(for: socketNumber, .readable, until: end)
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
        // What has waited comes before the next absence.
        let isWaiting = if case .waiting = progress { true } else { false }
        let end = stopped == nil && timers.isEmpty ? turnEnd : MonotonicInstant(nanoseconds: 0)
        goOn(after: isWaiting && !timers.isEmpty ? .yielding : progress, until: end)
        // It may be another loop's by now, unless it still has that run.
        if let stopped, let reason = stopped.stopReason, stopped.execution === self { stop(stopped, reason) }
    }
}
