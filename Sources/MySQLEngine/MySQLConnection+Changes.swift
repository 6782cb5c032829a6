// What a connection tells of its steps to those who listen to the changes of its database. While nobody does, each step costs a look at a
// number before it and behind it.

internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import SQLText

extension MySQLConnection {
    /// The client's statement is about to be sent.
    func noteChanges(by sql: UnsafeRawBufferPointer, _ position: BatchPosition?) {
        let epoch = context.changes.epoch
        if epoch == 0 || mode.isReadOnly { return noteUnwatched(sql) }
        if epoch != changing.tracker.epoch { noteWatch() }
        var effect = MySQLEffect.unknown
        if let position, (position.rowIndex ?? 0) > 0, let known = changing.rowEffect,
            known.index == position.statementIndex
        {
            effect = known.effect
        } else if sql.count <= TextBound.byteCountMax {
            effect = self.effect(of: sql)
        } else {
            changing.isEffectDue = true
        }
        changing.rowEffect = position.map { ($0.statementIndex, effect) }
        changing.tracker.begin(effect, epoch: epoch, isInTransaction: isInTransaction)
    }

    /// Nobody listens. What a session has done to the meaning of later texts counts for whoever comes.
    private func noteUnwatched(_ sql: UnsafeRawBufferPointer) {
        changing.hasRunUnwatched = true
        changing.forgetTemporaries()
        if exchange.kind.isIndivisible || !mode.isSession { return }
        let aftermath =
            sql.count <= TextBound.byteCountMax
            ? MySQLTextChanges(sql).aftermath : MySQLTextChanges.Aftermath.everything
        changing.aftermath = max(changing.aftermath, aftermath)
    }

    /// Somebody listens. Triggers and functions may have been run before that.
    private func noteWatch() {
        if changing.hasRunUnwatched, mode.isSession { changing.aftermath = max(changing.aftermath, .names) }
        changing.hasRunUnwatched = false
    }

    /// Looks at a long text.
    /// - Thread: a worker's.
    func findDueChanges() {
        guard changing.isEffectDue, let run else { return }
        changing.isEffectDue = false
        let effect = effect(of: run.sql)
        changing.tracker.replace(effect)
        if let index = changing.rowEffect?.index { changing.rowEffect = (index, effect) }
    }

    private func effect(of sql: UnsafeRawBufferPointer) -> MySQLEffect {
        let changes = MySQLTextChanges(sql)
        let effect = self.effect(of: changes, sql)
        noteTemporaries(changes, effect)
        changing.usedNamespace = changes.usedNamespace
        changing.aftermath = max(
            changing.aftermath, changes.aftermath, effect.gap == .unknownRelations ? .names : .none)
        // The texts of others, who get the connection next, are to be certain.
        if changing.aftermath > .none, !mode.isSession { needsReset = true }
        return effect
    }

    /// Tables that only this connection has: those that it has made itself, until something may have dropped them.
    private func noteTemporaries(_ changes: MySQLTextChanges, _ effect: MySQLEffect) {
        if effect.gap == .unknownRelations { return changing.forgetTemporaries() }
        // The server may know a name with letters outside of ASCII by another one, too, and drop it by that.
        let made = changes.madeTemporary.flatMap { MySQLFacts.isASCII($0.name + ($0.namespace ?? "")) ? $0 : nil }
        changing.madeTemporary = made.flatMap(withNamespace)
        for name in changes.dropped { changing.forgetTemporaries(called: name.name) }
    }

    private func withNamespace(_ name: MySQLName) -> MySQLName? {
        let present = changing.hasLostNamespace ? nil : namespace
        return (name.namespace ?? present).map { MySQLName(namespace: $0, name: name.name) }
    }

    private func effect(of changes: MySQLTextChanges, _ sql: UnsafeRawBufferPointer) -> MySQLEffect {
        guard let facts = context.changes.facts(ofHost: context.hostIndex) else {
            return effectWithoutFacts(changes, sql)
        }
        // What only reads may call what nobody else sees.
        let isClear = changes.scope == .nothing && (!changes.mayCall || changing.aftermath < .account)
        guard isClear || facts.isClear(sql, after: changing.aftermath) else { return .uncertain(changes) }
        let effect = facts.effect(
            of: changes, sql, in: changing.hasLostNamespace ? nil : namespace, temporaries: changing.temporaries)
        if effect.isEmpty, changes.mayCall { context.changes.noteRead() }
        return effect
    }

    /// While the definitions are read. Whoever reads again what they were told to must not be told so by that.
    private func effectWithoutFacts(_ changes: MySQLTextChanges, _ sql: UnsafeRawBufferPointer) -> MySQLEffect {
        // The connection may lead to another server than that of which they are known.
        context.changes.noteRead()
        if changes.scope == .nothing, !changes.mayCall || PlainStatement.isPlain(sql, .mysql) {
            return MySQLEffect(ending: changes.ending)
        }
        return .uncertain(changes)
    }

    /// The present database, as the server tells it with USE.
    private var namespace: String? {
        var name: UnsafePointer<CChar>?
        _ = libmariadb.mariadb_get_info(handle, MARIADB_CONNECTION_SCHEMA, &name)
        return name.map { String(cString: $0) }
    }

    /// A statement of ours is about to be sent.
    func noteChanges(byOwn sql: StaticString) {
        let epoch = context.changes.epoch
        if epoch == 0 || mode.isReadOnly { return }
        let text = UnsafeRawBufferPointer(start: sql.utf8Start, count: sql.utf8CodeUnitCount)
        changing.tracker.begin(
            MySQLEffect(ending: MySQLTextChanges(text).ending), epoch: epoch, isInTransaction: isInTransaction)
    }

    /// The server has done a step.
    func tellChanges() {
        let epoch = context.changes.epoch
        guard changing.tracker.isActive else { return tellUnseenChanges(epoch) }
        changing.isEffectDue = false
        changing.keepTemporary()
        let commit = changing.tracker.end(.success(isInTransaction: isInTransaction))
        if let used = changing.usedNamespace.take() {
            // A server can be told not to say which one is used.
            changing.hasLostNamespace = namespace.map(TextRuns.folded) != TextRuns.folded(used)
        }
        if epoch == 0 { return }
        context.changes.tell(epoch == changing.tracker.epoch ? commit : MySQLCommit(gap: .begunBefore))
    }

    private func tellUnseenChanges(_ epoch: UInt64) {
        guard epoch != 0, stepMayWrite else { return }
        context.changes.tell(changing.tracker.endUnseen(epoch: epoch, isInTransaction: isInTransaction))
    }

    /// Whether the step that is under way, or was, is one that may have written.
    private var stepMayWrite: Bool {
        switch exchange.step {
        case .own, .statement: !current.effect.readsOnly
        case .attempt, .describe, .reset, .role, nil: false
        }
    }

    /// The server has refused a step, or is lost.
    func tellChangesOfFailure(isLost: Bool) {
        if isLost { return keepUnseenChanges() }
        guard changing.tracker.isActive else { return tellUnseenChanges(context.changes.epoch) }
        changing.isEffectDue = false
        changing.madeTemporary = nil
        changing.usedNamespace = nil
        context.changes.tell(changing.tracker.end(.failure))
    }

    /// A step that is under way, of which nothing was noted, may have written.
    private func keepUnseenChanges() {
        let epoch = context.changes.epoch
        guard !changing.tracker.isActive, epoch != 0, stepMayWrite else { return }
        changing.tracker.begin(.unknown, epoch: epoch, isInTransaction: isInTransaction)
    }

    /// The connection is closed.
    func tellChangesOfEnd() {
        keepUnseenChanges()
        guard context.changes.epoch != 0, changing.tracker.mayStayWhenLost(isInTransaction: isInTransaction) else {
            return
        }
        let number = UInt(libmariadb.mysql_thread_id(handle))
        context.changes.tellLost(
            MySQLLostConnection(numbers: number...number, hostIndex: context.hostIndex, opened: opened))
    }
}

/// What a connection knows of its changes.
struct MySQLChanging {
    var tracker = MySQLChangeTracker()
    /// The text is to be looked at by a worker.
    var isEffectDue = false
    /// What a statement of a batch does with each of its rows.
    var rowEffect: (index: Int, effect: MySQLEffect)?
    /// The database of a USE that is under way.
    var usedNamespace: String?
    /// It is not known which database is the present one.
    var hasLostNamespace = false
    /// What statements have done to the meaning of those behind them.
    var aftermath = MySQLTextChanges.Aftermath.none
    /// Statements were run while nobody listened.
    var hasRunUnwatched = false
    /// Tables that only this connection has, with their databases.
    var temporaries: Set<MySQLName> = []
    /// The one that is being made.
    var madeTemporary: MySQLName?

    /// Beyond, those that are made are not known.
    private static let temporaryCountMax = 1_000

    mutating func forgetTemporaries() { (temporaries, madeTemporary) = ([], nil) }

    /// In any database: a server may not tell names by the case of their letters.
    mutating func forgetTemporaries(called name: String) {
        if temporaries.isEmpty { return }
        let name = TextRuns.folded(name)
        temporaries = temporaries.filter { TextRuns.folded($0.name) != name }
    }

    mutating func keepTemporary() {
        guard let made = madeTemporary.take(), temporaries.count < Self.temporaryCountMax else { return }
        temporaries.insert(made)
    }
}
