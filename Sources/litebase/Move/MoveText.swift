// What a move says before anything is written.

internal import LinuxSystem
internal import SchemaTranslation

enum MoveText {
    /// The tables with the types of their columns, then what is not as it was.
    static func lines(_ plan: MovePlan, isAccepted: (Finding) -> Bool) -> [String] {
        var lines: [String] = []
        for table in plan.tables {
            lines.append("\(visible(table.name)), \(counted(table.rowCount, "row"))")
            let width = min(30, table.columns.map { DisplayWidth.of(visible($0.name)) }.max() ?? 0)
            for column in table.columns {
                let name = visible(column.name)
                let padding = String(repeating: " ", count: max(0, width - DisplayWidth.of(name)) + 2)
                let declared = column.declaredType.isEmpty ? "" : " from \(visible(column.declaredType))"
                lines.append("  \(name)\(padding)\(column.type.rawValue)\(declared)\(details(column))")
            }
        }
        lines += section(
            "Would lose data, and keeps the move from being made:", plan.findings.filter { $0.weight == .loss })
        let changes = plan.findings.filter { $0.weight == .change }
        lines += section("To be accepted (--accept KIND):", changes.filter { !isAccepted($0) })
        lines += section("Accepted:", changes.filter { isAccepted($0) })
        lines += section("Good to know:", plan.findings.filter { $0.weight == .note })
        return lines
    }

    private static func details(_ column: TargetColumn) -> String {
        if column.isIdentity { return ", gives numbers" }
        if column.isConverted { return ", numbers become text" }
        return column.expression == nil ? "" : ", generated"
    }

    private static func section(_ title: String, _ findings: [Finding]) -> [String] {
        findings.isEmpty ? [] : ["", title] + findings.map { "  \(line($0))" }
    }

    /// What the rows have not allowed.
    static func leftOut(_ findings: [Finding]) -> [String] {
        section("Left out, since the rows do not allow it:", findings)
    }

    /// What accepts this one alone.
    static func argument(_ finding: Finding) -> String { argument(finding.kind, finding.object) }

    static func argument(_ kind: Finding.Kind, _ object: String) -> String { "\(kind.rawValue):\(object)" }

    /// The same, as a shell reads it.
    static func shellArgument(_ finding: Finding) -> String {
        let parts = argument(finding).split(separator: "'", omittingEmptySubsequences: false)
        return visible("'" + parts.joined(separator: "'\\''") + "'")
    }

    /// Kind, object, cause and remedy.
    static func line(_ finding: Finding) -> String {
        let remedy = finding.remedy.isEmpty ? "" : "; \(finding.remedy)"
        return visible("\(finding.kind.rawValue) \(finding.object): \(finding.cause)\(remedy)")
    }

    private static func visible(_ text: String) -> String { TerminalEscaping.visible(text) }
}
