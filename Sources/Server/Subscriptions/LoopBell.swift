// How other threads tell a loop that there is news: however often they do, it is woken once, and looks once.

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
    ///   - look: called on the loop; what was told before is there by then.
    init(_ mailbox: LoopMailbox, look: @escaping @Sendable () -> Void) {
        self.mailbox = mailbox
        self.look = look
    }

    /// There is news, or some is left.
    func ring() {
        guard !isRung.exchange(true, ordering: .sequentiallyConsistent) else { return }
        mailbox.submit { [self] in
            isRung.store(false, ordering: .sequentiallyConsistent)
            look()
        }
    }
}
