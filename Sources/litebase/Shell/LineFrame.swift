// How a line that is edited lies on the screen, and what is written so that the terminal shows it.
//
// Pure: cells in, bytes out.

/// How a piece of what is typed is shown.
enum TypedStyle: UInt8, Sendable {
    case plain, keyword, string, number, parameter, comment, error

    /// Select Graphic Rendition, of ECMA-48: colours that can be read on dark and on light backgrounds.
    var sequence: String {
        switch self {
        case .plain: "\u{1B}[0m"
        case .keyword: "\u{1B}[0;1;34m"
        case .string: "\u{1B}[0;32m"
        case .number: "\u{1B}[0;35m"
        case .parameter: "\u{1B}[0;36m"
        case .comment: "\u{1B}[0;2m"
        case .error: "\u{1B}[0;31m"
        }
    }
}

/// A prompt and a line behind it, in rows of a screen.
struct LineFrame {
    /// A character, or a part of one: what modifies the one before it takes no column.
    struct Cell: Equatable {
        var scalar: Unicode.Scalar
        var style: TypedStyle
        var width: UInt8
    }

    /// A row and a column, from zero. A column that is the screen's width is that of a full row.
    struct Place: Equatable {
        var row = 0
        var column = 0
    }

    let width: Int
    private(set) var cells: [Cell] = []
    private(set) var places: [Place] = []
    /// Behind the last cell.
    private(set) var end = Place()
    private var cursorIndex: Int?
    private static let lineEnd: Unicode.Scalar = "\n"
    private static let tabWidth = 8

    /// - Parameters:
    ///   - prompt: without control characters.
    ///   - text: any characters; control characters are made visible, but for line ends and tabs.
    ///   - styles: one for each of these, or fewer.
    ///   - cursor: the character that it stands on.
    ///   - width: columns of the screen.
    init(prompt: String, _ text: [Unicode.Scalar], styles: [TypedStyle] = [], cursor: Int, width: Int) {
        // A wide character needs two columns.
        self.width = max(2, width)
        cells.reserveCapacity(prompt.unicodeScalars.count + text.count)
        places.reserveCapacity(cells.capacity)
        for scalar in prompt.unicodeScalars { add(scalar, .plain) }
        for (index, scalar) in text.enumerated() {
            if index == cursor { cursorIndex = cells.count }
            addVisible(scalar, index < styles.count ? styles[index] : .plain)
        }
        // Where a full row ends, the cursor is on the next one.
        if end.column >= self.width { end = Place(row: end.row + 1, column: 0) }
    }

    private mutating func addVisible(_ scalar: Unicode.Scalar, _ style: TypedStyle) {
        switch scalar {
        case Self.lineEnd: addLineEnd()
        case "\t":
            let column = end.column >= width ? 0 : end.column
            for _ in 0..<(Self.tabWidth - column % Self.tabWidth) { add(" ", style) }
        case "\u{0}"..<" ", "\u{7F}":
            add("^", style)
            add(Unicode.Scalar(UInt8(scalar.value) ^ 0x40), style)
        default:
            guard TerminalEscaping.isHarmful(scalar) else { return add(scalar, style) }
            for part in TerminalEscaping.escape(scalar).unicodeScalars { add(part, style) }
        }
    }

    private mutating func add(_ scalar: Unicode.Scalar, _ style: TypedStyle) {
        let columns = DisplayWidth.of(scalar)
        if columns > 0, end.column + columns > width { end = Place(row: end.row + 1, column: 0) }
        cells.append(Cell(scalar: scalar, style: style, width: UInt8(columns)))
        places.append(end)
        end.column += columns
    }

    private mutating func addLineEnd() {
        cells.append(Cell(scalar: Self.lineEnd, style: .plain, width: 0))
        places.append(end)
        end = Place(row: end.row + 1, column: 0)
    }

    /// Where the cursor is.
    var cursor: Place {
        guard let cursorIndex, cursorIndex < places.count else { return end }
        let place = places[cursorIndex]
        return Place(row: place.row, column: min(place.column, width - 1))
    }

    func isLineEnd(_ index: Int) -> Bool { cells[index].scalar == Self.lineEnd }

    /// Where a terminal writes next that has written all cells before an index.
    func pen(at index: Int) -> Place {
        guard index > 0 else { return Place() }
        let last = places[index - 1]
        if isLineEnd(index - 1) { return Place(row: last.row + 1, column: 0) }
        return Place(row: last.row, column: last.column + Int(cells[index - 1].width))
    }

    /// The first cell of a row, or of one behind it.
    func firstIndex(ofRow row: Int) -> Int {
        var range = 0..<places.count
        while let middle = range.isEmpty ? nil : range.lowerBound + range.count / 2 {
            range = places[middle].row < row ? (middle + 1)..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }
}

/// What a terminal shows of a line, and what has to be written so that it shows another.
///
/// All movements are relative to the cursor: where on the screen the line is, is not known. Rows that are full are left to the terminal
/// to wrap, so that it can wrap them anew in a window of another width. A line end also returns to the first column (termios(3), ONLCR).
struct LineScreen {
    private var shown: LineFrame?
    /// The first row that is on the screen: of what is higher than that only a part is shown.
    private var top = 0
    private var cursor = LineFrame.Place()
    private var output = ""
    private var style = TypedStyle.plain
    private var pen = LineFrame.Place()

    /// What is written so that a line is shown, in as many rows as the screen has.
    mutating func show(_ frame: LineFrame, height: Int) -> String {
        let height = max(1, height)
        let formerTop = top
        top = topRow(of: frame, height: height)
        let last = min(frame.end.row, top + height - 1)
        pen = cursor
        if let shown, shown.width == frame.width, formerTop == top {
            let common = Self.commonCount(shown, frame)
            if common < max(shown.cells.count, frame.cells.count) {
                let isLonger =
                    shown.end.row > frame.end.row
                    || shown.end.row == frame.end.row && shown.end.column > frame.end.column
                let start = max(common, frame.firstIndex(ofRow: top))
                draw(
                    frame, from: start, at: normal(frame.pen(at: start), frame.width, top), lastRow: last,
                    clears: isLonger)
            }
        } else {
            if shown != nil { move(to: LineFrame.Place(row: formerTop, column: 0)) }
            let start = frame.firstIndex(ofRow: top)
            pen = LineFrame.Place(row: top, column: 0)
            draw(frame, from: start, at: pen, lastRow: last, clears: shown != nil)
        }
        move(to: frame.cursor)
        cursor = frame.cursor
        shown = frame
        return taken()
    }

    /// Goes behind what is shown, and knows nothing of the screen from then on.
    mutating func leave(height: Int) -> String {
        if let shown {
            pen = cursor
            move(to: LineFrame.Place(row: min(shown.end.row, top + max(1, height) - 1), column: shown.end.column))
        }
        forget()
        return taken()
    }

    /// Ends the line, which has to be shown with the cursor behind it.
    mutating func end() -> String {
        forget()
        return "\n"
    }

    /// Somebody else has written something.
    mutating func resume() -> String {
        forget()
        return "\r\u{1B}[J"
    }

    mutating func clear() -> String {
        forget()
        return "\u{1B}[H\u{1B}[2J"
    }

    /// The window has another width, for which `frame` has what was shown: the terminal has wrapped it anew, and keeps the
    /// cursor on its character.
    mutating func resize(_ frame: LineFrame, height: Int) -> String {
        guard shown != nil else { return resume() }
        let row = min(frame.cursor.row - min(top, frame.cursor.row), max(1, height) - 1)
        pen = LineFrame.Place(row: row, column: frame.width)
        move(to: LineFrame.Place())
        output += "\u{1B}[J"
        forget()
        return taken()
    }

    private mutating func forget() {
        shown = nil
        top = 0
        cursor = LineFrame.Place()
    }

    private mutating func taken() -> String {
        defer { output = "" }
        return output
    }

    private func topRow(of frame: LineFrame, height: Int) -> Int {
        let row = frame.cursor.row
        let highest = max(0, frame.end.row - height + 1)
        return min(max(min(top, row), row - height + 1), highest)
    }

    /// How many cells are shown as they are to be, from the first one. What modifies a character is written with it.
    private static func commonCount(_ shown: LineFrame, _ frame: LineFrame) -> Int {
        let count = min(shown.cells.count, frame.cells.count)
        var common = 0
        while common < count, shown.cells[common] == frame.cells[common] { common += 1 }
        if common == shown.cells.count, common == frame.cells.count { return common }
        func isModifier(_ line: LineFrame) -> Bool {
            common < line.cells.count && line.cells[common].width == 0 && !line.isLineEnd(common)
        }
        while common > 0, isModifier(shown) || isModifier(frame) { common -= 1 }
        return common
    }

    /// Behind a full row the cursor is on the next one.
    private func normal(_ place: LineFrame.Place, _ width: Int, _ top: Int) -> LineFrame.Place {
        let place = place.column >= width ? LineFrame.Place(row: place.row + 1, column: 0) : place
        return place.row < top ? LineFrame.Place(row: top, column: 0) : place
    }

    private mutating func draw(
        _ frame: LineFrame, from start: Int, at place: LineFrame.Place, lastRow: Int, clears: Bool
    ) {
        guard place.row <= lastRow else { return }
        move(to: place)
        if clears { output += "\u{1B}[J" }
        var index = start
        while index < frame.cells.count, frame.places[index].row <= lastRow {
            let cell = frame.cells[index]
            let place = frame.places[index]
            if frame.isLineEnd(index) {
                set(.plain)
                // Behind a full row the cursor is on the next one already.
                if place.row < pen.row {
                    index += 1
                    continue
                }
                // At the end of a full row it would erase the last character.
                if !clears, pen.column < frame.width { output += "\u{1B}[K" }
                if place.row == lastRow { break }
                output += "\n"
                pen = LineFrame.Place(row: pen.row + 1, column: 0)
            } else {
                if place.row > pen.row, pen.column < frame.width {
                    set(.plain)
                    output += String(repeating: " ", count: frame.width - pen.column)
                }
                set(cell.style)
                // Not by its view `unicodeScalars`: what the release build of Swift 6.3.1 makes of that here reads a String that is gone.
                output.append(Character(cell.scalar))
                pen = LineFrame.Place(row: place.row, column: place.column + Int(cell.width))
            }
            index += 1
        }
        set(.plain)
        guard frame.end.row <= lastRow else { return }
        if pen.column >= frame.width, frame.end.row > pen.row {
            output += " \r"
            pen = frame.end
        }
    }

    private mutating func set(_ wanted: TypedStyle) {
        guard wanted != style else { return }
        output += wanted.sequence
        style = wanted
    }

    private mutating func move(to place: LineFrame.Place) {
        if place.row < pen.row { output += "\u{1B}[\(pen.row - place.row)A" }
        if place.row > pen.row { output += "\u{1B}[\(place.row - pen.row)B" }
        if place.column != pen.column {
            output += "\r"
            if place.column > 0 { output += "\u{1B}[\(place.column)C" }
        }
        pen = place
    }
}
