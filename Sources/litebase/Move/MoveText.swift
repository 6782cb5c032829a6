// What a move says before anything is written.

internal import LinuxSystem
internal import SchemaTranslation

enum MoveText {
    /// The tables with the types of their columns, then what is not as it was.
    static func lines(_ plan: MovePlan, accepting accepted: Set<Finding.Kind>) -> [String] {
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
        lines += section("To be accepted (--accept KIND):", changes.filter { !accepted.contains($0.kind) })
        lines += section("Accepted:", changes.filter { accepted.contains($0.kind) })
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

    /// Kind, object, cause and remedy.
    static func line(_ finding: Finding) -> String {
        let remedy = finding.remedy.isEmpty ? "" : "; \(finding.remedy)"
        return visible("\(finding.kind.rawValue) \(finding.object): \(finding.cause)\(remedy)")
    }

    private static func visible(_ text: String) -> String { TerminalEscaping.visible(text) }
}
