// Who listens to the channels of one database on one loop. However many they are, messages wake the loop once.

internal import DatabaseContract
internal import LinuxSystem

/// The listeners of one loop to the channels of one source.
///
/// - Thread: its loop's.
final class LoopChannels {
    let source: any ChannelSource
    private let context: LoopContext
    private var links: [ChannelName: [ObjectIdentifier: ChannelLink]] = [:]
    private var userCount = 0
    private var listener: UInt64 = 0
    /// The number of the last event that was given to the links.
    private(set) var number: UInt64 = 0
    /// Links that have something to tell.
    private var due: [ChannelLink] = []
    /// Holds this object, until nobody listens any more.
    private var bell: LoopBell?

    /// Given to links before others get their turn; and the time for which links write, in nanoseconds.
    private static let deliveryCountMax = 4_096
    private static let eventCountMax = 256
    private static let turnNanoseconds: Int64 = 1_000_000

    /// The listeners of this loop to a source; made if there are none.
    static func of(_ source: any ChannelSource, on context: LoopContext) -> LoopChannels {
        if let known = context.channels[ObjectIdentifier(source)] { return known }
        let made = LoopChannels(source, context)
        context.channels[ObjectIdentifier(source)] = made
        return made
    }

    private init(_ source: any ChannelSource, _ context: LoopContext) {
        self.source = source
        self.context = context
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let bell = LoopBell(mailbox) { here.wrapped.look() }
        self.bell = bell
        (listener, number) = source.feed.add { bell.ring() }
    }

    /// A link is there, which may begin to listen.
    func join() { userCount += 1 }

    /// A link is gone.
    func leave(_ link: ChannelLink, _ names: [ChannelName]) {
        for name in names {
            links[name]?[ObjectIdentifier(link)] = nil
            if links[name]?.isEmpty == true { links[name] = nil }
        }
        due.removeAll { $0 === link }
        userCount -= 1
        guard userCount == 0 else { return }
        bell = nil
        source.feed.remove(listener)
        context.channels[ObjectIdentifier(source)] = nil
    }

    /// From the next event on a link gets what is sent to those names.
    func add(_ link: ChannelLink, _ names: [ChannelName]) {
        for name in names { links[name, default: [:]][ObjectIdentifier(link)] = link }
    }

    // MARK: What has come

    private func look() {
        bell?.answer()
        let deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        let hasMore = take()
        while let link = due.popLast() {
            link.isDue = false
            link.tell()
            if .now > deadline { break }
        }
        if hasMore || !due.isEmpty { bell?.ring() }
    }

    /// Gives the links what has come next.
    /// - Returns: whether there is more.
    private func take() -> Bool {
        // Those who have not told the last ones come first.
        guard due.isEmpty else { return true }
        let countMax = max(1, min(Self.eventCountMax, Self.deliveryCountMax / max(1, userCount)))
        let portion = source.feed.take(for: listener, countMax: countMax)
        if portion.isIncomplete { for link in all { give(.gap(.tooMany), portion.firstNumber - 1, to: link) } }
        number = portion.firstNumber - 1
        for event in portion.events {
            number += 1
            switch event {
            case .message(let message): give(event, number, toThoseOf: message.name)
            case .refused(let name, _): give(event, number, toThoseOf: name)
            case .gap: for link in all { give(event, number, to: link) }
            }
        }
        return portion.hasMore
    }

    private var all: [ChannelLink] {
        var found: [ObjectIdentifier: ChannelLink] = [:]
        for own in links.values { found.merge(own) { known, _ in known } }
        return Array(found.values)
    }

    private func give(_ event: ChannelEvent, _ number: UInt64, toThoseOf name: ChannelName) {
        guard let links = links[name] else { return }
        for link in links.values { give(event, number, to: link) }
    }

    private func give(_ event: ChannelEvent, _ number: UInt64, to link: ChannelLink) {
        guard link.take(event, number), !link.isDue else { return }
        link.isDue = true
        due.append(link)
    }
}
