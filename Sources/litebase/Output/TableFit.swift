// Tables on a screen that is too narrow for them.

/// When a row of a table becomes a record of one line for each column.
enum Expansion: String, CaseIterable {
    case off, on
    /// Where the columns would have to be cut too short.
    case auto
}

/// Widths of columns that fit a screen.
enum TableFit {
    /// Shorter than this, a cell that is cut says little.
    static let cellWidthMin = 12
    /// Between two cells, and around all of them.
    private static let separatorWidth = 3
    private static let marginWidth = 2

    /// - Parameters:
    ///   - widths: what the columns want.
    ///   - mayBeCut: which of them are no numbers, whose beginning would be another number.
    ///   - screenWidth: what there is.
    /// - Returns: at most what they want, the widest cut; `nil` where some would be shorter than `cellWidthMin`.
    static func widths(_ widths: [Int], mayBeCut: [Bool], screenWidth: Int) -> [Int]? {
        let available = screenWidth - marginWidth - separatorWidth * (widths.count - 1)
        if widths.reduce(0, +) <= available { return widths }
        func cut(_ limit: Int) -> [Int] { zip(widths, mayBeCut).map { $1 ? min($0, limit) : $0 } }
        var fitting = cellWidthMin
        guard cut(fitting).reduce(0, +) <= available else { return nil }
        var excess = widths.max() ?? fitting
        while excess - fitting > 1 {
            let middle = (fitting + excess) / 2
            if cut(middle).reduce(0, +) <= available { fitting = middle } else { excess = middle }
        }
        return cut(fitting)
    }
}
