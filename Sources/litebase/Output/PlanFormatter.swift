// Plans of statements for people: as trees, as the text that the server has made, or as a program with its loops.

internal import ByteBuffers
import LiteBaseClient

/// Writes the result of an EXPLAIN on a terminal.
///
/// At most `rowCountMax` rows are held; a longer plan is written in parts.
struct PlanFormatter {
    private enum Kind {
        /// SQLite's EXPLAIN QUERY PLAN: each row names its parent.
        case tree
        /// PostgreSQL's, which is a tree already, and the formats JSON and TREE of MySQL and MariaDB: a text, a line for each row, or
        /// all of it in one.
        case text
        /// SQLite's EXPLAIN: the program of the statement.
        case program
    }

    private let kind: Kind
    private let hasUnicode: Bool
    private let hasColor: Bool
    private var rows: [Row] = []
    private var hasBegun = false

    private static let rowCountMax = 10_000

    /// Whether a statement may have such a result.
    static func isExpected(of sql: String) -> Bool {
        ["explain", "analyze", "analyse", "desc", "describe"].contains(RowStatement.firstWord(of: sql))
    }

    /// `nil` for a result that is a table, such as MySQL's usual plan.
    init?(_ columns: Columns, _ style: OutputStyle) {
        switch columns.names.map({ $0.lowercased() }) {
        case ["id", "parent", "notused", "detail"]: kind = .tree
        case ["query plan"], ["explain"], ["analyze"]: kind = .text
        case ["addr", "opcode", "p1", "p2", "p3", "p4", "p5", "comment"]: kind = .program
        default: return nil
        }
        (hasUnicode, hasColor) = (style.hasUnicode, style.hasColor)
    }

    mutating func row(_ row: Row, into output: inout ByteBuffer) {
        if kind == .text { return write(text: ValueText.plain(row[0]), into: &output) }
        rows.append(row)
        if rows.count == Self.rowCountMax { flush(into: &output) }
    }

    /// Writes what is held; the result has ended, or is too long to be held.
    mutating func flush(into output: inout ByteBuffer) {
        switch kind {
        case .text: break
        case .tree: writeTree(into: &output)
        case .program: writeProgram(into: &output)
        }
        rows = []
        hasBegun = true
    }

    private func write(text: String, into output: inout ByteBuffer) {
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            output.append(TerminalEscaping.visible(String(line)) + "\n")
        }
    }

    private func title(_ text: String, into output: inout ByteBuffer) {
        if hasBegun { return }
        output.append(hasColor ? "\u{1B}[1m\(text)\u{1B}[0m\n" : text + "\n")
    }

    // MARK: The tree

    private func writeTree(into output: inout ByteBuffer) {
        title("QUERY PLAN", into: &output)
        // A parent comes before its children: what names another one is at the top.
        var places: [Int64: Int] = [:]
        var children: [[Int]] = [[]]
        for (index, row) in rows.enumerated() {
            children.append([])
            let parent = row[1].integer.flatMap { places[$0] } ?? 0
            children[parent].append(index + 1)
            if let id = row[0].integer { places[id] = index + 1 }
        }
        // The next ones to be written, the first of them last, each with what stands in front of its children.
        var open: [(place: Int, prefix: String, isLast: Bool)] = []
        func push(_ parent: Int, _ prefix: String) {
            for (number, child) in children[parent].enumerated().reversed() {
                open.append((child, prefix, number == children[parent].count - 1))
            }
        }
        push(0, "")
        while let (place, prefix, isLast) = open.popLast() {
            let branch = hasUnicode ? (isLast ? "└─ " : "├─ ") : (isLast ? "`--" : "|--")
            output.append(prefix + branch + TerminalEscaping.visible(ValueText.plain(rows[place - 1][3])) + "\n")
            // A hostile depth would make a line of each row that is as long as all before it.
            let stem = isLast ? "   " : hasUnicode ? "│  " : "|  "
            push(place, prefix.utf8.count < Self.prefixByteCountMax ? prefix + stem : prefix)
        }
    }

    private static let prefixByteCountMax = 300

    // MARK: The program

    private static let columnNames = ["addr", "opcode", "p1", "p2", "p3", "p4", "p5", "comment"]

    private func writeProgram(into output: inout ByteBuffer) {
        let indents = ProgramLoops(rows).indents
        let lines = zip(rows, indents).map { row, indent in
            row.enumerated().map { column, value in
                String(repeating: " ", count: column == 1 ? indent : 0)
                    + TerminalEscaping.visible(ValueText.plain(value))
            }
        }
        let widths = Self.columnNames.enumerated().map { column, name in
            lines.reduce(name.utf8.count) { max($0, DisplayWidth.of($1[column])) }
        }
        title(Self.line(Self.columnNames, widths), into: &output)
        for line in lines { output.append(Self.line(line, widths) + "\n") }
    }

    private static func line(_ cells: [String], _ widths: [Int]) -> String {
        var line = zip(cells, widths).map { cell, width in
            cell + String(repeating: " ", count: max(0, width - DisplayWidth.of(cell)))
        }.joined(separator: "  ")
        while line.last == " " { line.removeLast() }
        return line
    }
}

/// How deep in loops each instruction of SQLite's virtual machine is.
///
/// - Source: https://www.sqlite.org/opcode.html; an instruction that goes on with the next row jumps back to the first one of its
///   loop, in `p2`.
private struct ProgramLoops {
    /// Spaces in front of each instruction.
    private(set) var indents: [Int]

    private static let ends: Set<String> = ["Next", "Prev", "VNext", "VPrev", "SorterNext", "Return"]
    /// A jump back to one of these is a loop, too.
    private static let starts: Set<String> = ["Yield", "SeekLT", "SeekGT", "RowSetRead", "Rewind"]
    private static let depthMax = 20

    init(_ rows: [Row]) {
        // Where each loop begins, and where it ends.
        var changes = [Int](repeating: 0, count: rows.count + 1)
        for (index, row) in rows.enumerated() {
            guard let name = row[1].text, let address = row[0].integer, let target = row[3].integer else { continue }
            // A program of a trigger has addresses of its own.
            let (offset, overflows) = Int(clamping: address).subtractingReportingOverflow(Int(clamping: target))
            guard !overflows, offset > 0, offset <= index else { continue }
            let start = index - offset
            let isLoop =
                Self.ends.contains(name)
                ? target > 0
                : name == "Goto" && (row[2].integer != 0 || Self.starts.contains(rows[start][1].text ?? ""))
            if !isLoop { continue }
            changes[start] += 1
            changes[index] -= 1
        }
        var depth = 0
        indents = rows.indices.map { index in
            depth += changes[index]
            return 2 * min(max(0, depth), Self.depthMax)
        }
    }
}
