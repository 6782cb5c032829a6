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
    /// A step was refused that may have committed the transaction before that; whether one is open is not known yet.
    private var unresolved: MySQLEffect?
    /// Whether a transaction was open before the step that is under way.
    private var wasInTransaction = false

    /// A step begins, during the watch with that number, which is not 0; `isInTransaction` is what was so before it.
    mutating func begin(_ effect: MySQLEffect, epoch: UInt64, isInTransaction: Bool) {
        if epoch != self.epoch { startOver(epoch, isInTransaction: isInTransaction) }
        self.effect = effect
        wasInTransaction = isInTransaction
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
        unresolved = nil
    }

    /// - Returns: what is committed by now.
    mutating func end(_ end: End) -> MySQLCommit {
        defer { isActive = false }
        switch end {
        case .success(let isInTransaction):
            var commit = resolve(isInTransaction: isInTransaction)
            commit.add(isInTransaction ? goOn() : finish())
            return commit
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
        // The one that was open still is, and what a definition has done stays.
        case .mayCommit: if effect.isDefinition { return whole }
        // If it was not committed, that comes later, and is told then by its names.
        case .mayCommitAndBegin: commit = uncertainty(of: pending)
        }
        commit.add(effect.isDefinition ? whole : atOnce)
        pending.add(whole)
        return commit
    }

    /// What was to be committed may be so, or not: no name is told of it.
    private func uncertainty(of commit: MySQLCommit) -> MySQLCommit {
        MySQLCommit(gap: commit.isEmpty ? nil : commit.gap ?? .unknownRelations)
    }

    /// No transaction is open.
    private mutating func finish() -> MySQLCommit {
        var commit = MySQLCommit()
        swap(&commit, &pending)
        if effect.ending == .rollsBack || mayHaveLost { commit = MySQLCommit() }
        // It may have rolled back as well.
        if effect.ending == .mayCommitAndBegin { commit = uncertainty(of: commit) }
        mayHaveLost = false
        commit.add(whole)
        return commit
    }

    private mutating func fail() -> MySQLCommit {
        mayHaveLost = true
        if effect.ending == .rollsBack || (effect.ending == .none && !effect.isDivisible) { return atOnce }
        guard wasInTransaction || !pending.isEmpty else {
            // Parts of it may be in a transaction that it has begun.
            pending.add(whole)
            return whole
        }
        if effect.ending == .none {
            pending.add(whole)
            return atOnce
        }
        unresolved = effect
        if effect.isDefinition { return MySQLCommit() }
        pending.add(whole)
        return atOnce
    }

    /// What was refused in a transaction may have ended it before that. The server has said now whether one is open.
    private mutating func resolve(isInTransaction: Bool) -> MySQLCommit {
        guard let refused = unresolved.take() else { return MySQLCommit() }
        // The step has changed what is asked for.
        if effect.ending != .none { return uncertainty(of: pending) }
        if isInTransaction { return refused.ending == .mayCommitAndBegin ? uncertainty(of: pending) : MySQLCommit() }
        var former = MySQLCommit()
        swap(&former, &pending)
        mayHaveLost = false
        // What has failed may have rolled back as well.
        var commit = uncertainty(of: former)
        // A definition commits before it begins, and parts of it may stay.
        if refused.isDefinition { commit.add(Self.whole(refused)) }
        return commit
    }

    /// The connection has been introduced anew: what was open is rolled back.
    mutating func reset() {
        pending = MySQLCommit()
        mayHaveLost = false
        unresolved = nil
        isActive = false
    }

    /// The connection is lost.
    /// - Returns: whether something may be committed all the same.
    func mayStayWhenLost(isInTransaction: Bool) -> Bool {
        if unresolved != nil { return true }
        guard isActive else { return false }
        switch effect.ending {
        case .none: return !effect.isEmpty && (!isInTransaction || !atOnce.isEmpty)
        case .rollsBack: return false
        case .commits: return !pending.isEmpty
        case .mayCommit, .mayCommitAndBegin: return !pending.isEmpty || !effect.isEmpty
        }
    }

    private var whole: MySQLCommit { Self.whole(effect) }

    private static func whole(_ effect: MySQLEffect) -> MySQLCommit {
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
