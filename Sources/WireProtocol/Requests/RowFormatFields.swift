// The fields that `export` and `import` have in common: how rows stand in a file.

internal import ByteBuffers

/// How rows stand in a file.
public struct RowFormatFields {
    public private(set) var format = ExportFormat.csv
    /// Whether the first line has the names of the columns.
    public private(set) var hasHeader = true
    public private(set) var delimiter: UInt8?
    /// What stands for null.
    public private(set) var null: UnsafeRawBufferPointer?

    /// Whether it is the format of a file that is read.
    private let mustBeReadable: Bool
    private var nullStart = 0

    init(mustBeReadable: Bool) { self.mustBeReadable = mustBeReadable }

    /// Reads the value if the field is one of these; returns whether it is.
    mutating func readField(_ name: UnsafeRawBufferPointer, from fields: inout FieldReader) throws(DecodeError) -> Bool
    {
        if name.equals("format") {
            format = try ExportFormat.read(&fields, mustBeReadable: mustBeReadable)
        } else if name.equals("header") {
            hasHeader = try fields.optionalBool("header") ?? true
        } else if name.equals("delimiter") {
            delimiter = try Delimiter.read(&fields)
        } else if name.equals("null") {
            nullStart = fields.reader.offset
            null = try fields.optionalText("null")
        } else {
            return false
        }
        return true
    }

    /// Checks what depends on more than one field.
    func check() throws(DecodeError) {
        guard let null, let delimiter = delimiter ?? format.delimiter, format.delimiter != nil else { return }
        let wanted: StaticString
        if !NullText.isPossible(null, delimiter: delimiter) {
            wanted = "text without quotes, backslashes, line ends and the delimiter, or \\N"
        } else if !mustBeReadable, NullText.mayBeValue(null) {
            wanted = "text that is no number, true, false, NaN or Infinity, since values are written so"
        } else {
            return
        }
        throw DecodeError(.outOfRange(field: "null", wanted: wanted), at: nullStart)
    }

    static func write(
        _ format: ExportFormat, hasHeader: Bool, delimiter: String?, null: String?, _ writer: inout RequestWriter,
        _ output: inout ByteBuffer
    ) {
        writer.field("format", format.rawValue, into: &output)
        if !hasHeader { writer.field("header", false, into: &output) }
        writer.optional("delimiter", delimiter, into: &output)
        writer.optional("null", null, into: &output)
    }
}

/// A field that has names of columns.
enum ColumnNames {
    /// No engine has tables with more.
    private static let countMax = 4_096

    static func read(
        _ fields: inout FieldReader, _ name: StaticString
    ) throws(DecodeError) -> [UnsafeRawBufferPointer] {
        let start = fields.reader.offset
        let count = try fields.reader.readArray(name)
        guard count > 0, count <= countMax else {
            throw DecodeError(.outOfRange(field: name, wanted: "one to 4,096 names"), at: start)
        }
        var columns: [UnsafeRawBufferPointer] = []
        for _ in 0..<count { columns.append(try fields.reader.readText(name)) }
        return columns
    }

    /// Writes nothing where there are none.
    static func write(
        _ columns: [String], _ name: StaticString, _ writer: inout RequestWriter, _ output: inout ByteBuffer
    ) {
        guard !columns.isEmpty else { return }
        writer.key(name, into: &output)
        writer.beginArray(into: &output)
        for column in columns { writer.text(column, into: &output) }
        writer.endArray(into: &output)
    }
}

/// What is between two fields of a line.
enum Delimiter {
    static func read(_ fields: inout FieldReader) throws(DecodeError) -> UInt8? {
        let start = fields.reader.offset
        guard let text = try fields.optionalText("delimiter") else { return nil }
        guard text.count == 1, isPossible(text[0]) else {
            throw DecodeError(
                .outOfRange(
                    field: "delimiter",
                    wanted: "one character of ASCII, no letter, digit, quote, backslash, line end or part of a number"
                ),
                at: start)
        }
        return text[0]
    }

    /// What stands behind a backslash in TSV has a meaning, as have quotes in CSV; numbers are never in quotes.
    private static func isPossible(_ byte: UInt8) -> Bool {
        switch byte {
        case 0, 10, 13, UInt8(ascii: "\""), UInt8(ascii: "\\"), 0x80...0xff: false
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): false
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            false
        default: true
        }
    }
}

/// What stands for null.
private enum NullText {
    /// Whether a reader takes it for one field.
    static func isPossible(_ text: UnsafeRawBufferPointer, delimiter: UInt8) -> Bool {
        text.equals("\\N")
            || text.allSatisfy {
                switch $0 {
                case 0, 10, 13, UInt8(ascii: "\""), UInt8(ascii: "\\"), delimiter: false
                default: true
                }
            }
    }

    /// Whether a value that is no text could be written so: what begins like a number is taken for one.
    static func mayBeValue(_ text: UnsafeRawBufferPointer) -> Bool {
        var rest = text[...]
        if let first = rest.first, first == UInt8(ascii: "-") { rest = rest.dropFirst() }
        guard let first = rest.first else { return false }
        if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) { return true }
        let word = UnsafeRawBufferPointer(rebasing: rest)
        return word.equals("true") || word.equals("false") || word.equals("NaN") || word.equals("Infinity")
    }
}
