// How other threads tell a loop that there is news: until it has answered, it is woken once, however often they do.

internal import LinuxSystem
internal import Synchronization

/// Wakes one loop.
///
/// - Thread: any.
final class LoopBell: Sendable {
    private let isRung = Atomic<Bool>(false)
    private let mailbox: LoopMailbox
    private let look: @Sendable () -> Void

    /// - Parameters:
    ///   - mailbox: of the loop.
    ///   - look: called on the loop when it is woken. What was told before `answer` is there behind that.
    init(_ mailbox: LoopMailbox, look: @escaping @Sendable () -> Void) {
        self.mailbox = mailbox
        self.look = look
    }

    /// There is news, or some is left.
    func ring() {
        guard !isRung.exchange(true, ordering: .sequentiallyConsistent) else { return }
        mailbox.submit { [self] in look() }
    }

    /// The loop is about to look: who rings from now on wakes it again.
    func answer() { isRung.store(false, ordering: .sequentiallyConsistent) }
}
