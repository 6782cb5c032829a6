// Work that waits, of several users: they take turns, so that nobody waits for all that another has asked for.

/// A queue in which users take turns; what one user has put in keeps its order.
///
/// With one user it is an ordinary queue. Once it has grown it allocates nothing for an element.
struct FairQueue<Element> {
    /// The elements of one user. What is before `head` was taken already.
    private struct Lane {
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

    /// One for each user with something in the queue; an empty one only when it is the only one, for its storage.
    private var lanes: [Lane] = []
    /// Whose turn it is.
    private var turn = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Whether a user who has something in the queue is one of those.
    func hasUser(where isMeant: (UInt32) -> Bool) -> Bool { lanes.contains { $0.count > 0 && isMeant($0.uid) } }

    func contains(where isMeant: (Element) -> Bool) -> Bool {
        lanes.contains { lane in lane.elements[lane.head...].contains { $0.map(isMeant) ?? false } }
    }

    /// Puts an element behind the others of its user.
    mutating func append(_ element: Element, of uid: UInt32) {
        lanes[lane(of: uid)].append(element)
        count += 1
    }

    /// Puts an element back, before the others of its user.
    mutating func prepend(_ element: Element, of uid: UInt32) {
        lanes[lane(of: uid)].prepend(element)
        count += 1
    }

    /// The element that is taken next.
    var first: Element? {
        guard count > 0 else { return nil }
        return lanes[turn].elements[lanes[turn].head]
    }

    /// Takes the next element: the turn goes to the next user.
    mutating func popFirst() -> Element? {
        count == 0 ? nil : pop(lane: turn)
    }

    /// Takes the next element of those users who may have one taken.
    mutating func popFirst(where mayHave: (UInt32) -> Bool) -> Element? {
        guard count > 0 else { return nil }
        for offset in lanes.indices {
            let index = (turn + offset) % lanes.count
            if lanes[index].count > 0, mayHave(lanes[index].uid) { return pop(lane: index) }
        }
        return nil
    }

    /// Takes the first element that is wanted, out of its turn.
    mutating func remove(where isWanted: (Element) -> Bool) -> Element? {
        for index in lanes.indices {
            let lane = lanes[index]
            guard
                let place = lane.elements[lane.head...].firstIndex(where: { element in
                    if let element { isWanted(element) } else { false }
                })
            else { continue }
            let element = lanes[index].elements.remove(at: place)
            count -= 1
            if lanes[index].count == 0 { close(lane: index) }
            return element
        }
        return nil
    }

    private mutating func pop(lane index: Int) -> Element? {
        let element = lanes[index].popFirst()
        count -= 1
        turn = index
        if lanes[index].count == 0 { close(lane: index) } else { turn += 1 }
        if turn >= lanes.count { turn = 0 }
        return element
    }

    private mutating func close(lane index: Int) {
        if lanes.count == 1 {
            lanes[0].elements.removeAll(keepingCapacity: true)
            lanes[0].head = 0
            return
        }
        lanes.remove(at: index)
        if index < turn { turn -= 1 }
        if turn >= lanes.count { turn = 0 }
    }

    /// The place of a user, who takes the last turn when new.
    private mutating func lane(of uid: UInt32) -> Int {
        if let known = lanes.firstIndex(where: { $0.uid == uid }) { return known }
        if count == 0, !lanes.isEmpty {
            lanes[0].uid = uid
            return 0
        }
        // Behind all who are there: just before the one whose turn it is.
        lanes.insert(Lane(uid: uid), at: turn)
        let index = turn
        if lanes.count > 1 { turn += 1 }
        return index
    }
}

/// How many things of each user go on, against a limit that keeps nobody out.
struct UserShares {
    /// Of all users.
    private(set) var count = 0
    private var counts: [UInt32: Int] = [:]

    func count(of uid: UInt32) -> Int { counts[uid] ?? 0 }
    var userCount: Int { counts.count }

    mutating func begin(_ uid: UInt32) {
        count += 1
        counts[uid, default: 0] += 1
    }

    mutating func end(_ uid: UInt32) {
        count -= 1
        guard let left = counts[uid], left > 1 else { return counts[uid] = nil }
        counts[uid] = left - 1
    }

    /// Whether one more of this user's may go on. One who has nothing going on is not kept waiting by those who have all
    /// places: there are as many places again for the first of each.
    func mayBegin(_ uid: UInt32, limit: Int) -> Bool {
        count < limit || (count < 2 * limit && counts[uid] == nil)
    }
}
