// Who listens to one database on one loop. However many they are, a commit wakes the loop once, and it tells them at a pace: of a
// thousand commits in a second each is told at once, of more those of a millisecond together.

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
    /// Holds this object, until nobody listens any more.
    private var bell: LoopBell?
    /// There is some that was not told yet; until it is, the bell is not answered, and commits cost nothing more.
    private var hasNews = false
    private var nextTelling = MonotonicInstant(nanoseconds: 0)
    private lazy var pause = DelayTimer { [unowned self] in tellNews() }

    /// They are told so many at a time, and others on the loop have their turn in between.
    private static let turnCountMax = 100
    /// Between two tellings. Of 3,000 groups of commits in a second each would cost one who listens a frame, and those who write
    /// a tenth of their rate.
    private static let paceNanoseconds: Int64 = 1_000_000

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
        self.bell = bell
        listener = source.feed.add { bell.ring() }
    }

    func add(_ link: SubscriptionLink) { links[ObjectIdentifier(link)] = link }

    func remove(_ link: SubscriptionLink) {
        links[ObjectIdentifier(link)] = nil
        guard links.isEmpty else { return }
        pause.cancel()
        bell = nil
        source.feed.remove(listener)
        context.subscriptions[ObjectIdentifier(source)] = nil
    }

    /// Somebody who was still busy with what came before has to be told of more.
    func lookSoon() { bell?.ring() }

    /// Something has changed.
    private func look() {
        hasNews = true
        tellNews()
    }

    /// Tells everybody, unless somebody is still to be told of what came before, and then of both, or all have just been told.
    private func tellNews() {
        guard hasNews, due.isEmpty, !links.isEmpty else { return }
        let now = MonotonicInstant.now
        guard now >= nextTelling else { return pause.start(on: context.loop, at: nextTelling) }
        nextTelling = now.advanced(byNanoseconds: Self.paceNanoseconds)
        hasNews = false
        bell?.answer()
        due = Array(links.values)
        tellSome()
    }

    private func tellSome() {
        let some = due.suffix(Self.turnCountMax)
        due.removeLast(some.count)
        for link in some { link.changesDidCome() }
        if due.isEmpty { return tellNews() }
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        mailbox.submit { here.wrapped.tellSome() }
    }
}
