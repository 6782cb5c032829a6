// Who listens to one database on one loop. However many they are, a commit wakes the loop once.

internal import DatabaseContract
internal import LinuxSystem

/// The listeners of one loop to one source.
///
/// - Thread: its loop's.
final class LoopSubscriptions {
    let source: any ChangeSource
    private let context: LoopContext
    private var links: [ObjectIdentifier: SubscriptionLink] = [:]
    /// Those that are to be told in this turn and the next ones.
    private var due: [SubscriptionLink] = []
    private var listener: UInt64 = 0

    /// They are told so many at a time, and others on the loop have their turn in between.
    private static let turnCountMax = 100

    /// The listeners of this loop to a source; made if there are none.
    static func of(_ source: any ChangeSource, on context: LoopContext) -> LoopSubscriptions {
        if let known = context.subscriptions[ObjectIdentifier(source)] { return known }
        let made = LoopSubscriptions(source, context)
        context.subscriptions[ObjectIdentifier(source)] = made
        return made
    }

    private init(_ source: any ChangeSource, _ context: LoopContext) {
        self.source = source
        self.context = context
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let bell = LoopBell(mailbox) { here.wrapped.look() }
        listener = source.feed.add { bell.ring() }
    }

    func add(_ link: SubscriptionLink) { links[ObjectIdentifier(link)] = link }

    func remove(_ link: SubscriptionLink) {
        links[ObjectIdentifier(link)] = nil
        guard links.isEmpty else { return }
        source.feed.remove(listener)
        context.subscriptions[ObjectIdentifier(source)] = nil
    }

    /// Something has changed. Who is still to be told of what came before is told of both.
    private func look() {
        let isAtIt = !due.isEmpty
        due = Array(links.values)
        if !isAtIt { tellSome() }
    }

    private func tellSome() {
        let some = due.suffix(Self.turnCountMax)
        due.removeLast(some.count)
        for link in some { link.changesDidCome() }
        if due.isEmpty { return }
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        mailbox.submit { here.wrapped.tellSome() }
    }
}
