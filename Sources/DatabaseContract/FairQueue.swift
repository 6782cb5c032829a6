// A queue for the work of several users, who take turns: no user waits for everything that another has requested.

/// A queue in which users take turns; the elements of one user keep their order.
///
/// With one user it is an ordinary queue. Once it has grown, adding an element allocates nothing.
package struct FairQueue<Element> {
    /// The elements of one user. Those before `head` have been taken.
    ///
    /// `Deque` of swift-collections would do the same; it adds 240 KB to a program and takes 14 s to build (1.6.0,
    /// Swift 6.3).
    private struct UserQueue {
        var uid: UInt32
        var elements: [Element?] = []
        var head = 0

        var count: Int { elements.count - head }

        mutating func append(_ element: Element) { elements.append(element) }

        mutating func prepend(_ element: Element) {
            if head == 0 { return elements.insert(element, at: 0) }
            head -= 1
            elements[head] = element
        }

        mutating func popFirst() -> Element? {
            guard head < elements.count else { return nil }
            let element = elements[head].take()
            head += 1
            if head == elements.count {
                elements.removeAll(keepingCapacity: true)
                head = 0
            } else if head >= 1_024 {
                elements.removeFirst(head)
                head = 0
            }
            return element
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
        queues.contains { queue in queue.elements[queue.head...].contains { $0.map(isMeant) ?? false } }
    }

    /// Adds an element after the others of its user.
    package mutating func append(_ element: Element, of uid: UInt32) {
        queues[queue(of: uid)].append(element)
        count += 1
    }

    /// Puts an element back in front of the others of its user.
    package mutating func prepend(_ element: Element, of uid: UInt32) {
        queues[queue(of: uid)].prepend(element)
        count += 1
    }

    /// The element that is taken next.
    package var first: Element? {
        guard count > 0 else { return nil }
        return queues[turn].elements[queues[turn].head]
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
            let kept = queues[index].elements[queues[index].head...].filter { $0.map(isWanted) ?? false }
            count -= queues[index].count - kept.count
            queues[index].elements = kept
            queues[index].head = 0
            if kept.isEmpty { close(queue: index) }
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
            let queue = queues[index]
            guard
                let place = queue.elements[queue.head...].firstIndex(where: { element in
                    if let element { isWanted(element) } else { false }
                })
            else { continue }
            let element = queues[index].elements.remove(at: place)
            count -= 1
            if queues[index].count == 0 { close(queue: index) }
            return element
        }
        return nil
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
        if queues.count == 1 {
            queues[0].elements.removeAll(keepingCapacity: true)
            queues[0].head = 0
            return
        }
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
