// A queue for the work of several users, who take turns: no user waits for everything that another has requested.

/// A queue in which users take turns; the elements of one user keep their order.
///
/// With one user it is an ordinary queue. Once it has grown, adding an element allocates nothing.
package struct FairQueue<Element> {
    /// Where an element stands, for who may leave the queue again.
    package struct Ticket: Sendable {
        fileprivate let uid: UInt32
        fileprivate let number: Int
    }

    /// The elements of one user. Those before `head` have been taken, and others behind it may have left: their places are empty until
    /// there are many, so that leaving moves nobody.
    ///
    /// `Deque` of swift-collections would do the same for elements that do not leave; it adds 240 KB to a program and takes 14 s to
    /// build (1.6.0, Swift 6.3).
    private struct UserQueue {
        struct Place {
            /// Grows from place to place.
            let number: Int
            var element: Element?
        }

        var uid: UInt32
        /// There is an element at `head` if there is any.
        private var places: [Place] = []
        private var head = 0
        private(set) var count = 0
        private var lastNumber = 0
        private static var emptyCountMax: Int { 1_024 }

        init(uid: UInt32) { self.uid = uid }

        var first: Element? { count > 0 ? places[head].element : nil }

        mutating func append(_ element: Element) -> Int {
            lastNumber += 1
            places.append(Place(number: lastNumber, element: element))
            count += 1
            return lastNumber
        }

        mutating func prepend(_ element: Element) {
            let place = Place(
                number: (head < places.count ? places[head].number : lastNumber + 1) - 1, element: element)
            count += 1
            if head == 0 { return places.insert(place, at: 0) }
            head -= 1
            places[head] = place
        }

        mutating func popFirst() -> Element? {
            guard count > 0 else { return nil }
            return take(at: head)
        }

        mutating func remove(_ number: Int, where isMeant: (Element) -> Bool) -> Element? {
            var (low, high) = (head, places.count)
            while low < high {
                let middle = (low + high) / 2
                if places[middle].number < number { low = middle + 1 } else { high = middle }
            }
            guard low < places.count, places[low].number == number, let element = places[low].element, isMeant(element)
            else {
                return nil
            }
            return take(at: low)
        }

        func contains(where isMeant: (Element) -> Bool) -> Bool {
            places[head...].contains { $0.element.map(isMeant) ?? false }
        }

        mutating func removeFirst(where isMeant: (Element) -> Bool) -> Element? {
            places[head...].firstIndex { $0.element.map(isMeant) ?? false }.flatMap { take(at: $0) }
        }

        mutating func keep(where isWanted: (Element) -> Bool) {
            for index in places.indices[head...] {
                if let element = places[index].element, !isWanted(element) { _ = take(at: index, cleansUp: false) }
            }
            cleanUp()
        }

        mutating func removeAll() {
            places.removeAll(keepingCapacity: true)
            (head, count) = (0, 0)
        }

        private mutating func take(at index: Int, cleansUp: Bool = true) -> Element? {
            let element = places[index].element.take()
            if element != nil { count -= 1 }
            if cleansUp { cleanUp() }
            return element
        }

        private mutating func cleanUp() {
            if count == 0 { return removeAll() }
            while places[head].element == nil { head += 1 }
            if head >= Self.emptyCountMax {
                places.removeFirst(head)
                head = 0
            }
            if places.count - head > 2 * count + Self.emptyCountMax {
                places = places[head...].filter { $0.element != nil }
                head = 0
            }
        }
    }

    /// One for each user with elements in the queue. An empty one stays only if it is the only one, to keep its
    /// storage.
    private var queues: [UserQueue] = []
    /// The index of the user whose turn it is.
    private var turn = 0
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    /// Whether a user with elements in the queue satisfies the predicate.
    package func hasUser(where isMeant: (UInt32) -> Bool) -> Bool {
        queues.contains { $0.count > 0 && isMeant($0.uid) }
    }

    package func contains(where isMeant: (Element) -> Bool) -> Bool {
        queues.contains { $0.contains(where: isMeant) }
    }

    /// Adds an element after the others of its user.
    @discardableResult
    package mutating func append(_ element: Element, of uid: UInt32) -> Ticket {
        let number = queues[queue(of: uid)].append(element)
        count += 1
        return Ticket(uid: uid, number: number)
    }

    /// Puts an element back in front of the others of its user.
    package mutating func prepend(_ element: Element, of uid: UInt32) {
        queues[queue(of: uid)].prepend(element)
        count += 1
    }

    /// The element that is taken next.
    package var first: Element? {
        count > 0 ? queues[turn].first : nil
    }

    /// Takes the next element: the turn goes to the next user.
    package mutating func popFirst() -> Element? {
        count == 0 ? nil : pop(queue: turn)
    }

    /// Drops the next element, which is of no use any more: its user keeps the turn.
    package mutating func dropFirst() {
        guard count > 0 else { return }
        _ = queues[turn].popFirst()
        count -= 1
        if queues[turn].count == 0 { close(queue: turn) }
    }

    /// Keeps only the elements that satisfy the predicate.
    package mutating func keep(where isWanted: (Element) -> Bool) {
        for index in queues.indices.reversed() {
            let before = queues[index].count
            queues[index].keep(where: isWanted)
            count -= before - queues[index].count
            if queues[index].count == 0 { close(queue: index) }
        }
    }

    /// Takes the next element of the users that satisfy the predicate.
    package mutating func popFirst(where mayHave: (UInt32) -> Bool) -> Element? {
        guard count > 0 else { return nil }
        for offset in queues.indices {
            let index = (turn + offset) % queues.count
            if queues[index].count > 0, mayHave(queues[index].uid) { return pop(queue: index) }
        }
        return nil
    }

    /// Takes the first element that satisfies the predicate, out of turn.
    package mutating func remove(where isWanted: (Element) -> Bool) -> Element? {
        for index in queues.indices {
            guard let element = queues[index].removeFirst(where: isWanted) else { continue }
            return left(element, queue: index)
        }
        return nil
    }

    /// Takes an element out of turn: many may leave at once, and looking for each among all others would take long.
    /// - Parameters:
    ///   - ticket: of the element, which may have been taken meanwhile.
    ///   - isMeant: whether what stands there is that element.
    /// - Returns: the element; `nil` if it is not there any more.
    package mutating func remove(_ ticket: Ticket, where isMeant: (Element) -> Bool) -> Element? {
        guard let index = queues.firstIndex(where: { $0.uid == ticket.uid }),
            let element = queues[index].remove(ticket.number, where: isMeant)
        else { return nil }
        return left(element, queue: index)
    }

    private mutating func left(_ element: Element, queue index: Int) -> Element {
        count -= 1
        if queues[index].count == 0 { close(queue: index) }
        return element
    }

    private mutating func pop(queue index: Int) -> Element? {
        let element = queues[index].popFirst()
        count -= 1
        turn = index
        if queues[index].count == 0 { close(queue: index) } else { turn += 1 }
        if turn >= queues.count { turn = 0 }
        return element
    }

    private mutating func close(queue index: Int) {
        if queues.count == 1 { return queues[0].removeAll() }
        queues.remove(at: index)
        if index < turn { turn -= 1 }
        if turn >= queues.count { turn = 0 }
    }

    /// The index of a user's queue; a new user takes the last turn.
    private mutating func queue(of uid: UInt32) -> Int {
        if let known = queues.firstIndex(where: { $0.uid == uid }) { return known }
        if count == 0, !queues.isEmpty {
            queues[0].uid = uid
            return 0
        }
        // The last turn is just before the user whose turn it is.
        queues.insert(UserQueue(uid: uid), at: turn)
        let index = turn
        if queues.count > 1 { turn += 1 }
        return index
    }
}

/// The number of running jobs of each user, with a limit that excludes nobody.
package struct UserShares {
    /// Of all users.
    package private(set) var count = 0
    private var counts: [UInt32: Int] = [:]

    package init() {}

    package func count(of uid: UInt32) -> Int { counts[uid] ?? 0 }
    package var userCount: Int { counts.count }

    package mutating func begin(_ uid: UInt32) {
        count += 1
        counts[uid, default: 0] += 1
    }

    package mutating func end(_ uid: UInt32) {
        count -= 1
        guard let left = counts[uid], left > 1 else { return counts[uid] = nil }
        counts[uid] = left - 1
    }

    /// Whether this user may start one more. A user with nothing running does not wait for users who have taken all
    /// places: the first of each user may use as many places again.
    package func mayBegin(_ uid: UInt32, limit: Int) -> Bool {
        count < limit || (count < 2 * limit && counts[uid] == nil)
    }
}
