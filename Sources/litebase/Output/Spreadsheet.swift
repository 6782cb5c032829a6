// The rows of a result as a spreadsheet (.xlsx), by libxlsxwriter.

internal import CSpreadsheet
import LiteBaseClient

/// Writes one sheet: names of columns, then rows. Memory does not grow with them.
///
/// Text is text, whatever it begins with: nothing becomes a formula or a link. What a cell cannot hold as it is becomes text, or is an
/// error that names row and column.
final class Spreadsheet {
    private let sheet: OpaquePointer
    private let kinds: [Kind]
    private let names: [String]
    /// Of the next row of the sheet.
    private var row: UInt32 = 0
    private var rowCount: Int64 = 0
    private var isOpen = true

    /// How the texts of a column are meant.
    private enum Kind { case plain, decimal, date, moment, time }

    /// - Throws: `InputError` without the library, or for too many columns.
    init(_ path: String, _ columns: Columns, hasHeader: Bool) throws(InputError) {
        guard cspreadsheet_is_available() else {
            throw InputError(
                message: "xlsx needs the library libxlsxwriter: apt install libxlsxwriter4",
                status: ExitStatus.unavailable)
        }
        guard columns.count <= Int(CSPREADSHEET_COLUMN_COUNT_MAX) else {
            throw Self.failure("a sheet has at most 16,384 columns, and these are \(columns.count)")
        }
        guard let opened = cspreadsheet_open(path) else { throw Self.failure("no spreadsheet can be begun") }
        sheet = opened
        names = columns.names
        kinds = columns.all.map { column in
            switch column.type {
            case "decimal": .decimal
            case "date": .date
            case "timestamp", "datetime": .moment
            case "time": .time
            default: .plain
            }
        }
        guard hasHeader else { return }
        for (index, name) in names.enumerated() { try write(text: name, index, isHeading: true) }
        row = 1
    }

    /// - Throws: `InputError` for a value that no cell can hold, and for a row too many.
    func write(_ values: Row) throws(InputError) {
        guard row < UInt32(CSPREADSHEET_ROW_COUNT_MAX) else {
            throw Self.failure("a sheet has at most 1,048,576 rows; --max-rows writes fewer, csv all of them")
        }
        rowCount += 1
        for (index, value) in values.enumerated() where index < kinds.count { try write(value, index) }
        row += 1
    }

    /// Writes the file.
    func finish() throws(InputError) {
        isOpen = false
        if let problem = cspreadsheet_close(sheet) { throw Self.failure(String(cString: problem)) }
    }

    deinit { if isOpen { _ = cspreadsheet_close(sheet) } }

    private static func failure(_ message: String) -> InputError {
        InputError(message: "xlsx: \(message)", status: ExitStatus.ioError)
    }

    // MARK: Values

    private func write(_ value: Value, _ index: Int) throws(InputError) {
        switch value {
        case .null: break
        case .bool(let flag): try check(cspreadsheet_write_bool(sheet, row, UInt16(index), flag), index)
        // A cell has a double: other integers would change.
        case .integer(let number) where number.magnitude <= 1 << 53: try write(number: Double(number), index)
        case .integer(let number): try write(text: String(number), index)
        case .unsigned(let number): try write(text: String(number), index)
        case .real(let number) where number.isFinite: try write(number: number, index)
        case .real(let number): try write(text: number.isNaN ? "NaN" : number > 0 ? "Infinity" : "-Infinity", index)
        case .blob(let bytes):
            let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            try write(text: "\\x" + digits, index)
        case .text(let text): try write(text: text, as: kinds[index], index)
        }
    }

    private func write(number: Double, _ index: Int) throws(InputError) {
        try check(cspreadsheet_write_number(sheet, row, UInt16(index), number), index)
    }

    private func write(text: String, as kind: Kind, _ index: Int) throws(InputError) {
        switch kind {
        case .plain: break
        case .decimal:
            // So many digits a spreadsheet shows.
            let digitCount = text.utf8.count(where: { (48...57).contains($0) })
            if digitCount <= 15, let number = Double(text), number.isFinite { return try write(number: number, index) }
        case .date, .moment, .time:
            if let moment = SheetMoment(text, hasDate: kind != .time, hasTime: kind != .date) {
                let form = kind == .date ? CSPREADSHEET_DATE : kind == .time ? CSPREADSHEET_TIME : CSPREADSHEET_MOMENT
                return try check(
                    cspreadsheet_write_moment(
                        sheet, row, UInt16(index), form, moment.year, moment.month, moment.day, moment.hour,
                        moment.minute, moment.second), index)
            }
        }
        try write(text: text, index)
    }

    private func write(text: String, _ index: Int, isHeading: Bool = false) throws(InputError) {
        if text.utf16.count > Int(CSPREADSHEET_TEXT_LENGTH_MAX) {
            throw failure("a text of more than 32,767 characters, which no cell can have", index)
        }
        if text.utf8.contains(0) { throw failure("a text with a NUL character, which no cell can have", index) }
        try check(text.withCString { cspreadsheet_write_text(sheet, row, UInt16(index), $0, isHeading) }, index)
    }

    private func check(_ problem: UnsafePointer<CChar>?, _ index: Int) throws(InputError) {
        if let problem { throw failure(String(cString: problem), index) }
    }

    private func failure(_ what: String, _ index: Int) -> InputError {
        let name = TerminalEscaping.visible(names[index])
        return Self.failure("row \(rowCount), column \(name): \(what)")
    }
}

/// A date or time as spreadsheets count them: from 1900 to 9999.
private struct SheetMoment {
    var (year, month, day, hour, minute): (Int32, Int32, Int32, Int32, Int32) = (0, 0, 0, 0, 0)
    var second = 0.0

    /// `nil` for what is none, which then is text.
    init?(_ text: String, hasDate: Bool, hasTime: Bool) {
        var rest = text.utf8[...]
        func number(_ digitCount: Int) -> Int32? {
            let digits = rest.prefix(digitCount)
            guard digits.count == digitCount, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
            rest = rest.dropFirst(digitCount)
            return Int32(Substring(digits))
        }
        func skip(_ character: Unicode.Scalar) -> Bool {
            guard rest.first == UInt8(ascii: character) else { return false }
            rest = rest.dropFirst()
            return true
        }
        if hasDate {
            guard let year = number(4), year >= 1900, skip("-"), let month = number(2), (1...12).contains(month),
                skip("-"), let day = number(2), (1...31).contains(day), !hasTime || skip(" ")
            else { return nil }
            (self.year, self.month, self.day) = (year, month, day)
        }
        if hasTime {
            guard let hour = number(2), hour < 24, skip(":"), let minute = number(2), minute < 60, skip(":"),
                let whole = number(2), whole < 60
            else { return nil }
            (self.hour, self.minute, second) = (hour, minute, Double(whole))
            if rest.first == UInt8(ascii: "."), let fraction = Double("0" + String(Substring(rest))) {
                second += fraction
                rest = rest.dropFirst(rest.count)
            }
        }
        guard rest.isEmpty else { return nil }
    }
}
