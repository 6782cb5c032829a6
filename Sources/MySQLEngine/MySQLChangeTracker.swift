// What a connection has changed and not committed yet, as a value: it is told of each step that the server does and what the server says of
// its state then, and says what is committed by it.

internal import DatabaseContract
internal import SQLText

/// What was committed, and is to be told.
struct MySQLCommit: Equatable, Sendable {
    var relations: [String] = []
    var changesSchema = false
    var gap: ChangeGap?
    /// That by which the relations were found; they are not certain if it does not hold any more.
    var facts: MySQLFacts?

    /// Of relations.
    private static let countMax = 200

    var isEmpty: Bool { relations.isEmpty && !changesSchema && gap == nil && facts == nil }

    static func == (left: MySQLCommit, right: MySQLCommit) -> Bool {
        left.relations == right.relations && left.changesSchema == right.changesSchema && left.gap == right.gap
            && left.facts === right.facts
    }

    mutating func add(_ names: [String]) {
        for name in names where relations.last != name && !relations.contains(name) { relations.append(name) }
        if relations.count <= Self.countMax { return }
        relations = []
        gap = gap ?? .tooMany
    }

    mutating func add(_ other: MySQLCommit) {
        changesSchema = changesSchema || other.changesSchema
        gap = gap ?? other.gap
        add(other.relations)
        note(other.facts)
    }

    /// What was found by two is certain by none.
    mutating func note(_ other: MySQLFacts?) {
        guard let other else { return }
        if let facts, facts !== other { gap = gap ?? .unknownRelations }
        facts = other
    }
}

/// The changes of one connection.
struct MySQLChangeTracker {
    /// How a step has ended.
    enum End {
        case success(isInTransaction: Bool)
        /// The server has refused it; what has become of the transaction it says with the next step.
        case failure
    }

    /// The watch during which the step that is under way began; 0 for none.
    private(set) var epoch: UInt64 = 0
    /// A step is under way.
    private(set) var isActive = false
    private var effect = MySQLEffect()
    private var pending = MySQLCommit()
    /// The server may have rolled back the transaction by itself.
    private var mayHaveLost = false

    /// A step begins, during the watch with that number, which is not 0; `isInTransaction` is what was so before it.
    mutating func begin(_ effect: MySQLEffect, epoch: UInt64, isInTransaction: Bool) {
        if epoch != self.epoch { startOver(epoch, isInTransaction: isInTransaction) }
        self.effect = effect
        isActive = true
    }

    /// More is known of the step that is under way.
    mutating func replace(_ effect: MySQLEffect) { if isActive { self.effect = effect } }

    /// The server has done the step, although it counts as one that has failed.
    mutating func noteDone() { effect.isDivisible = true }

    /// Nothing of the step was sent.
    mutating func forget() { isActive = false }

    /// A step that may have written has ended, and began before anybody listened.
    mutating func endUnseen(epoch: UInt64, isInTransaction: Bool) -> MySQLCommit {
        startOver(epoch, isInTransaction: isInTransaction)
        return MySQLCommit(gap: .begunBefore)
    }

    /// What has come before that watch is not known.
    private mutating func startOver(_ epoch: UInt64, isInTransaction: Bool) {
        self.epoch = epoch
        pending = MySQLCommit(gap: isInTransaction ? .begunBefore : nil)
        mayHaveLost = false
    }

    /// - Returns: what is committed by now.
    mutating func end(_ end: End) -> MySQLCommit {
        defer { isActive = false }
        switch end {
        case .success(let isInTransaction): return isInTransaction ? goOn() : finish()
        case .failure: return fail()
        }
    }

    /// A transaction is open.
    private mutating func goOn() -> MySQLCommit {
        var commit = MySQLCommit()
        mayHaveLost = false
        switch effect.ending {
        case .none: break
        case .rollsBack: pending = MySQLCommit()
        case .commits: swap(&commit, &pending)
        // If it was not committed, that comes later, and is told again.
        case .mayCommit:
            commit = pending
            commit.add(whole)
        }
        commit.add(atOnce)
        pending.add(whole)
        return commit
    }

    /// No transaction is open.
    private mutating func finish() -> MySQLCommit {
        var commit = MySQLCommit()
        swap(&commit, &pending)
        if effect.ending == .rollsBack || mayHaveLost { commit = MySQLCommit() }
        mayHaveLost = false
        commit.add(whole)
        return commit
    }

    private mutating func fail() -> MySQLCommit {
        mayHaveLost = true
        if effect.ending == .rollsBack || (effect.ending == .none && !effect.isDivisible) { return atOnce }
        // It may have committed before it failed, and parts of it may be in the transaction.
        pending.add(whole)
        return pending
    }

    /// The connection has been introduced anew: what was open is rolled back.
    mutating func reset() {
        pending = MySQLCommit()
        mayHaveLost = false
        isActive = false
    }

    /// The connection is lost.
    /// - Returns: whether something may be committed all the same.
    func mayStayWhenLost(isInTransaction: Bool) -> Bool {
        guard isActive else { return false }
        switch effect.ending {
        case .none: return !effect.isEmpty && (!isInTransaction || !atOnce.isEmpty)
        case .rollsBack: return false
        case .commits: return !pending.isEmpty
        case .mayCommit: return !pending.isEmpty || !effect.isEmpty
        }
    }

    private var whole: MySQLCommit {
        if effect.isEmpty { return MySQLCommit() }
        var commit = MySQLCommit(changesSchema: effect.changesSchema, gap: effect.gap, facts: effect.facts)
        commit.add(effect.relations)
        commit.add(effect.relationsAtOnce)
        return commit
    }

    /// What stays whatever becomes of the transaction.
    private var atOnce: MySQLCommit {
        var commit = MySQLCommit()
        if effect.gapIsAtOnce { commit.gap = effect.gap }
        if effect.relationsAtOnce.isEmpty { return commit }
        commit.add(effect.relationsAtOnce)
        commit.facts = effect.facts
        return commit
    }
}
