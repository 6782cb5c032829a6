// Messages that one subscription has not told yet, in their order. A value without I/O.

internal import DatabaseContract

/// What waits for one client. There are bounds, and beyond them the client is told that it has missed something.
struct ChannelQueue {
    struct Item {
        var number: UInt64
        var event: ChannelEvent
    }

    private var items: [Item] = []
    private var head = 0
    /// The number of the last event that was dropped, until that is told.
    private var dropped: UInt64?
    private(set) var byteCount = 0

    static let countMax = 10_000
    static let byteCountMax = 4 << 20

    var isEmpty: Bool { head == items.count && dropped == nil }

    /// Adds one, if there is room; `mayHold` says whether the user may hold so many bytes here.
    mutating func append(_ event: ChannelEvent, _ number: UInt64, mayHold: (Int) -> Bool) {
        if case .message(let message) = event {
            guard dropped == nil else { return dropped = number }
            let wanted = byteCount + message.byteCount
            guard items.count - head < Self.countMax, wanted <= Self.byteCountMax, mayHold(wanted) else {
                return drop(upTo: number)
            }
            byteCount = wanted
        } else if case .gap = event {
            if dropped != nil { return dropped = number }
            // A connection that is lost again and again is one gap for who does not read.
            if head < items.count, let last = items.last, case .gap = last.event {
                return items[items.count - 1].number = number
            }
        }
        items.append(Item(number: number, event: event))
    }

    /// Everything up to that event is missed. What is refused for ever stays.
    mutating func drop(upTo number: UInt64) {
        items = items[head...].filter { if case .refused = $0.event { true } else { false } }
        head = 0
        byteCount = 0
        dropped = number
    }

    /// Why nothing more comes, if everything before that is told.
    var refusalIsNext: DriverError? {
        guard dropped == nil, head < items.count, case .refused(_, let error) = items[head].event else { return nil }
        return error
    }

    /// What is to be told next.
    mutating func next() -> Item? {
        if let number = dropped.take() { return Item(number: number, event: .gap(.tooMany)) }
        guard head < items.count else { return nil }
        let item = items[head]
        head += 1
        if case .message(let message) = item.event { byteCount -= message.byteCount }
        if head == items.count {
            items.removeAll(keepingCapacity: items.capacity <= 256)
            head = 0
        } else if head >= 1_024 {
            items.removeFirst(head)
            head = 0
        }
        return item
    }
}
