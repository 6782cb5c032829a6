// The order in which definitions can be run.

/// Puts definitions behind those that they need, and leaves them in their order otherwise.
struct DefinitionOrder {
    struct Definition: Equatable {
        /// What the server calls the object, uniquely.
        let key: String
        let sql: String
    }

    private let definitions: [Definition]
    /// Places of what a definition needs, in their order.
    private let needs: [[Int]]
    private(set) var ordered: [Definition] = []
    /// Definitions that need each other in a circle, which no order serves.
    private(set) var circles: [Definition] = []

    /// - Parameters:
    ///   - definitions: in the order that they are to have if nothing else is needed.
    ///   - needs: pairs of keys, the second of which the first needs. Keys without a definition are of no effect.
    init(_ definitions: [Definition], needs: [(key: String, needed: String)]) {
        self.definitions = definitions
        let places = Dictionary(zip(definitions.map(\.key), definitions.indices)) { first, _ in first }
        var found = [[Int]](repeating: [], count: definitions.count)
        for need in needs {
            if let place = places[need.key], let needed = places[need.needed] { found[place].append(needed) }
        }
        self.needs = found.map { $0.sorted() }
        order()
    }

    private enum Mark { case unseen, open, done }

    /// Goes down from each definition to what it needs, without recursion: a chain of views may be long.
    private mutating func order() {
        var marks = [Mark](repeating: .unseen, count: definitions.count)
        for start in definitions.indices where marks[start] == .unseen {
            var path: [(place: Int, next: Int)] = [(start, 0)]
            marks[start] = .open
            while let (place, next) = path.last {
                guard next < needs[place].count else {
                    ordered.append(definitions[place])
                    marks[place] = .done
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let needed = needs[place][next]
                switch marks[needed] {
                case .unseen:
                    marks[needed] = .open
                    path.append((needed, 0))
                case .open where needed != place: circles.append(definitions[place])
                case .open, .done: break
                }
            }
        }
    }
}
