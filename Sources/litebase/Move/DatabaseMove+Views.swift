// Whether the views that were made show in PostgreSQL what they show in SQLite.

import LiteBaseClient
internal import SchemaTranslation

extension DatabaseMove {
    /// Reads what the views that were made show on both sides, but those that are accepted anyway.
    /// - Parameter accepted: each as `MoveText.argument` names it.
    /// - Returns: those that show something else, each with what it is.
    /// - Throws: `ClientError` for what is not the fault of a view.
    func viewDifferences(accepting accepted: Set<String>) throws(ClientError) -> [Finding] {
        let made = plan.steps.filter { $0.kind == .view && !accepted.contains(MoveText.argument($0.kind, $0.object)) }
        var findings: [Finding] = []
        for (index, step) in made.enumerated() {
            LiveLine.show("compared: view \(index + 1) of \(made.count), \(step.object)")
            // What is opened behind it is closed with it, also after an error.
            try execute("SAVEPOINT litebase_view")
            let cause = try difference(ofView: step.object)
            try execute("ROLLBACK TO litebase_view")
            guard let cause else { continue }
            findings.append(
                Finding(.change, .view, step.object, cause, "read it in both, and write it for PostgreSQL afterwards"))
        }
        LiveLine.clear()
        return findings
    }

    private func difference(ofView name: String) throws(ClientError) -> String? {
        let rows: BlockingRows
        let copies: BlockingRows
        do throws(ClientError) {
            try openCursor(name)
        } catch {
            return "PostgreSQL cannot read it: \(try Self.cause(error))"
        }
        do throws(ClientError) {
            rows = try source.stream("SELECT * FROM \(SchemaReader.quoted(name))")
        } catch {
            return try Self.unreadable(error)
        }
        do throws(ClientError) {
            copies = try target.stream("FETCH ALL FROM litebase_view")
        } catch {
            return "PostgreSQL cannot read it: \(try Self.cause(error))"
        }
        return try difference(rows, copies)
    }

    /// Has PostgreSQL begin, which takes a sort or a sum as long as it takes: SQLite's session is given something to do meanwhile.
    private func openCursor(_ name: String) throws(ClientError) {
        try execute("DECLARE litebase_view SCROLL CURSOR FOR SELECT * FROM \(plan.names.quoted(name))")
        try execute("MOVE FORWARD 1 FROM litebase_view")
        try execute("MOVE ABSOLUTE 0 FROM litebase_view")
    }

    /// Row by row in turn, so that neither side lies idle.
    private func difference(_ rows: BlockingRows, _ copies: BlockingRows) throws(ClientError) -> String? {
        // An expression without a name is called otherwise, and programs may ask for it by its name.
        let names = rows.columns.names.map(plan.names.plain)
        if let place = zip(names, copies.columns.names).enumerated().first(where: { $1.0 != $1.1 })?.offset {
            return "its column \(rows.columns.names[place]) is called \(copies.columns.names[place]) in PostgreSQL"
        }
        let types = copies.columns.all.map(\.type)
        guard names.count == types.count else {
            return "it has \(names.count) columns in SQLite, \(types.count) in PostgreSQL"
        }
        var (here, there) = (ViewContent(types), ViewContent(types))
        var (isHere, isThere) = (true, true)
        while isHere || isThere {
            do throws(ClientError) {
                if isHere, let row = try rows.next() { here.add(row) } else { isHere = false }
            } catch {
                return try Self.unreadable(error)
            }
            do throws(ClientError) {
                if isThere, let row = try copies.next() { there.add(row) } else { isThere = false }
            } catch {
                return "PostgreSQL cannot read it: \(try Self.cause(error))"
            }
        }
        if here.rowCount != there.rowCount {
            return "it has \(counted(here.rowCount, "row")) in SQLite, \(there.rowCount) in PostgreSQL"
        }
        return here.isSame(as: there)
            ? nil : "of its \(counted(here.rowCount, "row")), some have other values in PostgreSQL"
    }

    /// What SQLite cannot read, no program misses.
    private static func unreadable(_ error: ClientError) throws(ClientError) -> String? {
        let cause = try cause(error)
        switch error.serverError?.code {
        case .databaseError, .syntaxError: return nil
        default: return "SQLite does not read it: \(cause)"
        }
    }

    /// Why a statement has failed by itself.
    private static func cause(_ error: ClientError) throws(ClientError) -> String {
        guard let refusal = error.serverError, refusal.code != .cancelled, !error.endsSession else { throw error }
        return message(error)
    }
}
