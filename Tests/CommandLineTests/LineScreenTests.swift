// What a terminal shows of a line that is edited, whatever was shown before.

import LiteBaseTesting
import Testing

@testable import litebase

/// The part of a terminal that drawing a line needs (ECMA-48; a full row is left with the next character, as xterm does; ONLCR).
private struct TerminalModel {
    let width: Int
    let height: Int
    /// Scalars of each cell, and its style's number; the second cell of a wide character is empty.
    var rows: [[String]]
    var row = 0
    var column = 0
    private var isPending = false
    private var style = "0"

    init(width: Int, height: Int) {
        (self.width, self.height) = (width, height)
        rows = [[String]](repeating: [String](repeating: " ", count: width), count: height)
    }

    var text: [String] { rows.map { $0.joined() } }

    mutating func write(_ text: String) {
        var scalars = Array(text.unicodeScalars)[...]
        while let scalar = scalars.popFirst() {
            switch scalar {
            case "\r": (column, isPending) = (0, false)
            case "\n":
                (column, isPending) = (0, false)
                lineFeed()
            case "\u{1B}":
                let end = scalars.firstIndex { $0.properties.isAlphabetic } ?? scalars.endIndex - 1
                control(scalars[(scalars.startIndex + 1)..<end].map(String.init).joined(), scalars[end])
                scalars = scalars[(end + 1)...]
            default: put(scalar)
            }
        }
    }

    private mutating func put(_ scalar: Unicode.Scalar) {
        let columns = DisplayWidth.of(scalar)
        if columns == 0 {
            let last = isPending ? column : column - 1
            // Behind a line end it modifies nothing.
            guard last >= 0 else { return }
            let cell = rows[row][last].isEmpty ? last - 1 : last
            rows[row][cell].unicodeScalars.append(scalar)
            return
        }
        if isPending || column + columns > width {
            (column, isPending) = (0, false)
            lineFeed()
        }
        rows[row][column] = style == "0" ? String(scalar) : "<\(style)>\(scalar)"
        if columns == 2 { rows[row][column + 1] = "" }
        isPending = column + columns == width
        column = isPending ? width - 1 : column + columns
    }

    private mutating func lineFeed() {
        if row + 1 < height { return row += 1 }
        rows.removeFirst()
        rows.append([String](repeating: " ", count: width))
    }

    private mutating func control(_ parameters: String, _ final: Unicode.Scalar) {
        let count = Int(parameters) ?? 1
        switch final {
        case "A": (row, isPending) = (max(0, row - count), false)
        case "B": (row, isPending) = (min(height - 1, row + count), false)
        case "C": (column, isPending) = (min(width - 1, column + count), false)
        case "K": erase()
        case "J" where parameters == "2": for row in rows.indices { rows[row] = [String](repeating: " ", count: width) }
        case "J":
            erase()
            for row in (row + 1)..<max(row + 1, height) { rows[row] = [String](repeating: " ", count: width) }
        case "H": (row, column, isPending) = (0, 0, false)
        case "m": style = parameters
        default: Issue.record("the sequence \(parameters)\(final)")
        }
    }

    private mutating func erase() {
        for column in column..<width { rows[row][column] = " " }
    }
}

@Suite struct LineScreenTests {
    private static let alphabet: [Unicode.Scalar] = [
        "a", "b", "c", " ", "東", "é", "\u{301}", "\t", "\n", "\u{1}", "\u{202E}", "🙂",
    ]

    private static func frame(_ text: [Unicode.Scalar], _ cursor: Int, width: Int, coloured: Bool) -> LineFrame {
        // A colour by what stands before, so that a key changes those of others.
        let styles: [TypedStyle] = coloured ? text.indices.map { $0 % 3 == text.count % 3 ? .string : .plain } : []
        return LineFrame(prompt: "東> ", text, styles: styles, cursor: cursor, width: width)
    }

    /// What one sees does not depend on what was drawn before: it is as on an empty screen.
    @Test(arguments: [(7, 5), (12, 4), (20, 30), (40, 3)], [false, true])
    func whateverWasShownBefore(size: (width: Int, height: Int), coloured: Bool) {
        var generator = SeededGenerator(seed: UInt64(size.width * 100 + size.height))
        for _ in 0..<12 {
            var screen = LineScreen()
            var terminal = TerminalModel(width: size.width, height: size.height)
            terminal.write("before\n")
            var text: [Unicode.Scalar] = []
            for _ in 0..<30 {
                let place = Int.random(in: 0...text.count, using: &generator)
                switch Int.random(in: 0..<10, using: &generator) {
                case 0..<6:
                    let scalar = Self.alphabet.randomElement(using: &generator) ?? "a"
                    // Most is typed at the end, and a sign alone modifies nothing.
                    if text.isEmpty { text = ["a"] }
                    text.insert(scalar, at: Bool.random(using: &generator) ? text.count : max(1, place))
                case 6, 7: text.removeLast(min(text.count, Int.random(in: 1...5, using: &generator)))
                case 8: text += [Unicode.Scalar](repeating: "x", count: Int.random(in: 0...25, using: &generator))
                default: if place < text.count { text.remove(at: place) }
                }
                if text.first?.properties.generalCategory == .nonspacingMark { text.removeFirst() }
                let cursor =
                    Bool.random(using: &generator) ? text.count : Int.random(in: 0...text.count, using: &generator)
                let frame = Self.frame(text, cursor, width: size.width, coloured: coloured)
                terminal.write(screen.show(frame, height: size.height))
                Self.check(terminal, frame, text, cursor)
            }
        }
    }

    private static func check(_ terminal: TerminalModel, _ frame: LineFrame, _ text: [Unicode.Scalar], _ cursor: Int) {
        // The rows as they should be, of which the terminal shows those around the cursor.
        var fresh = TerminalModel(width: terminal.width, height: frame.end.row + 2)
        var screen = LineScreen()
        fresh.write(screen.show(frame, height: frame.end.row + 2))
        #expect((fresh.row, fresh.column) == (frame.cursor.row, frame.cursor.column), "\(text) \(cursor)")
        let first = terminal.row - frame.cursor.row
        for row in 0...frame.end.row where (0..<terminal.height).contains(first + row) {
            #expect(terminal.text[first + row] == fresh.text[row], "\(text) \(cursor), row \(row)")
        }
        #expect(terminal.column == frame.cursor.column, "\(text) \(cursor)")
        for row in max(0, first + frame.end.row + 1)..<max(terminal.height, first + frame.end.row + 1) {
            #expect(terminal.text[row] == String(repeating: " ", count: terminal.width), "\(text), below")
        }
        if first >= 1 { #expect(terminal.text[first - 1].hasPrefix("before".prefix(terminal.width))) }
    }

    @Test func whatStandsWhere() {
        func place(_ text: String, _ cursor: Int? = nil) -> LineFrame.Place {
            let scalars = Array(text.unicodeScalars)
            return LineFrame(prompt: "> ", scalars, cursor: cursor ?? scalars.count, width: 10).cursor
        }
        #expect(place("") == LineFrame.Place(row: 0, column: 2))
        #expect(place("1234567") == LineFrame.Place(row: 0, column: 9))
        // A full row, and a wide character that does not fit.
        #expect(place("12345678") == LineFrame.Place(row: 1, column: 0))
        #expect(place("1234567東", 7) == LineFrame.Place(row: 1, column: 0))
        #expect(place("\t") == LineFrame.Place(row: 0, column: 8))
        #expect(place("a\nb") == LineFrame.Place(row: 1, column: 1))
        #expect(place("\u{1}") == LineFrame.Place(row: 0, column: 4))
        #expect(place("e\u{301}") == LineFrame.Place(row: 0, column: 3))
    }

    @Test func aKeyAtTheEndWritesThatCharacter() {
        var screen = LineScreen()
        _ = screen.show(LineFrame(prompt: "> ", Array("SELECT".unicodeScalars), cursor: 6, width: 80), height: 24)
        #expect(
            screen.show(LineFrame(prompt: "> ", Array("SELECTS".unicodeScalars), cursor: 7, width: 80), height: 24)
                == "S")
        #expect(
            screen.show(LineFrame(prompt: "> ", Array("SELECTS".unicodeScalars), cursor: 7, width: 80), height: 24)
                == "")
    }

    /// A terminal that has wrapped its lines anew shows nothing twice.
    @Test func anotherWidth() {
        let text = Array("0123456789abcdefghij".unicodeScalars)
        var screen = LineScreen()
        var terminal = TerminalModel(width: 20, height: 6)
        terminal.write(screen.show(LineFrame(prompt: "> ", text, cursor: text.count, width: 20), height: 6))
        // The window is 10 wide now, and the terminal has made three rows of two.
        var narrow = TerminalModel(width: 10, height: 6)
        narrow.write("> " + "0123456789abcdefghij")
        narrow.write(screen.resize(LineFrame(prompt: "> ", text, cursor: text.count, width: 10), height: 6))
        narrow.write(screen.show(LineFrame(prompt: "> ", text, cursor: text.count, width: 10), height: 6))
        #expect(narrow.text.prefix(4) == ["> 01234567", "89abcdefgh", "ij        ", "          "])
        #expect((narrow.row, narrow.column) == (2, 2))
    }

    @Test func leavingAndEnding() {
        var screen = LineScreen()
        var terminal = TerminalModel(width: 10, height: 6)
        let text = Array("0123456789\nz".unicodeScalars)
        terminal.write(screen.show(LineFrame(prompt: "> ", text, cursor: 0, width: 10), height: 6))
        #expect((terminal.row, terminal.column) == (0, 2))
        terminal.write(screen.leave(height: 6))
        #expect((terminal.row, terminal.column) == (2, 1))
        terminal.write("\nlist\n" + screen.show(LineFrame(prompt: "> ", text, cursor: 0, width: 10), height: 6))
        #expect(terminal.text == ["89        ", "z         ", "list      ", "> 01234567", "89        ", "z         "])
        terminal.write(
            screen.show(LineFrame(prompt: "> ", text, cursor: text.count, width: 10), height: 6) + screen.end())
        #expect((terminal.row, terminal.column) == (5, 0))
    }
}
