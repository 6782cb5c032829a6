// Which columns of a table the fields of a file are for.

internal import ArrowStream
internal import DatabaseContract
internal import Tabular

/// The names of the columns, as far as request and file say them.
struct ImportNames {
    /// In the order of the fields; `nil`: all columns of the table.
    var names: [String]?
    /// The keys of JSON's values in that order.
    var keys: [[UInt8]]?
    /// What a schema says of their types.
    var types: [ColumnType]?
    /// Fields of the first line.
    var fieldCount: Int

    init(names: [String]?, keys: [[UInt8]]? = nil, types: [ColumnType]? = nil, fieldCount: Int) {
        self.names = names
        self.keys = keys
        self.types = types
        self.fieldCount = fieldCount
    }
}

extension Result<ImportNames, DriverError> {
    /// What the file and the request say.
    init(_ found: ImportHead.Columns, _ wanted: ImportWanted) {
        switch found {
        case .text(let names): self.init(names, wanted)
        case .schema(let fields): self.init(fields, wanted)
        }
    }

    /// What the columns of a schema and the request say: those that are wanted are taken by their names.
    private init(_ fields: [ArrowField], _ wanted: ImportWanted) {
        var known: [String: ArrowField] = [:]
        var names: [String] = []
        for field in fields {
            guard let name = String(validating: field.name, as: UTF8.self) else {
                self = .failure(Self.badName)
                return
            }
            names.append(name)
            if known[name] == nil { known[name] = field }
        }
        let chosen = wanted.columns ?? names
        var types: [ColumnType] = []
        for name in chosen {
            guard let field = known[name] else {
                self = .failure(Self.missing(name))
                return
            }
            guard !name.isEmpty else {
                self = .failure(Self.nameless)
                return
            }
            guard let type = ColumnType(field.content) else {
                self = .failure(Self.noTableHas(field.content, name))
                return
            }
            types.append(type)
        }
        self = Self.checked(
            ImportNames(names: chosen, keys: chosen.map { Array($0.utf8) }, types: types, fieldCount: chosen.count))
    }

    /// What the first row and the request say.
    private init(_ found: RowReader.Names, _ wanted: ImportWanted) {
        let isDelimited = wanted.options.format.isDelimited
        switch found {
        case .incomplete, .none:
            // A file without rows is one of no rows, if it is known into what.
            guard !wanted.create, !wanted.options.hasHeader || !isDelimited else {
                self = .failure(Self.empty)
                return
            }
            self = .success(ImportNames(names: wanted.columns, fieldCount: 0))
        case .count(let count):
            self = Self.checked(ImportNames(names: wanted.columns, fieldCount: count))
        case .names(let names):
            guard names.allSatisfy({ String(validating: $0, as: UTF8.self) != nil }) else {
                self = .failure(Self.notText)
                return
            }
            let texts = names.map { String(decoding: $0, as: UTF8.self) }
            let chosen = wanted.columns ?? texts
            // The fields of a line are as many as its header has; of JSON, those are taken that are named.
            self = Self.checked(
                ImportNames(
                    names: chosen, keys: isDelimited ? nil : chosen.map { Array($0.utf8) },
                    fieldCount: isDelimited ? texts.count : chosen.count))
        }
    }

    private static func checked(_ found: ImportNames) -> Self {
        guard let names = found.names else { return .success(found) }
        if found.fieldCount > 0, names.count != found.fieldCount {
            return .failure(
                DriverError(
                    .badRequest, "The first line has \(found.fieldCount) fields, and \(names.count) columns are named.",
                    hint: "\"columns\" names one for each field of a line.", sqlState: "22P04"))
        }
        if names.contains("") {
            return .failure(
                DriverError(
                    .badRequest, "A column in the first line has no name.",
                    hint: "Name them in \"columns\", or say that there is no header.", sqlState: "22P04"))
        }
        guard Set(names).count == names.count else {
            return .failure(
                DriverError(
                    .badRequest, "Two columns have the same name.", hint: "Name them in \"columns\".",
                    sqlState: "42701"))
        }
        return .success(found)
    }

    private static var badName: DriverError {
        DriverError(.badRequest, "The name of a column of the stream is not UTF-8.", sqlState: "22021")
    }

    private static var nameless: DriverError {
        DriverError(
            .badRequest, "A column of the stream has no name.", hint: "Name the other columns in \"columns\".",
            sqlState: "22P04")
    }

    private static func missing(_ name: String) -> DriverError {
        DriverError(
            .badRequest, "The stream has no column \"\(shown(name))\".",
            hint: "\"columns\" names columns of the stream, which are those of the table, too.", sqlState: "42703")
    }

    private static func noTableHas(_ content: ArrowContent, _ name: String) -> DriverError {
        let kind = if case .other(let kind) = content { kind } else { "of another kind" }
        return DriverError(
            .badRequest, "The column \"\(shown(name))\" of the stream is \(kind), which no table can take.",
            hint: "Name the other columns in \"columns\", or make text of it, such as JSON.", sqlState: "0A000")
    }

    /// As much of a name as an error has.
    private static func shown(_ name: String) -> String { String(name.prefix(64)) }

    private static var empty: DriverError { DriverError(.badRequest, "The file is empty.", sqlState: "22P04") }
    private static var notText: DriverError {
        DriverError(
            .badRequest, "The names in the first line are not UTF-8.",
            hint: "Name the encoding (\"encoding\").", sqlState: "22021")
    }
}

extension ColumnType {
    /// The type of a column for values of a stream; `nil` for what no table has.
    fileprivate init?(_ content: ArrowContent) {
        switch content {
        case .boolean: self = .boolean
        case .integer: self = .integer
        case .unsigned: self = .unsigned
        case .real: self = .real
        case .decimal(let precision, let scale): self = .decimal(precision: precision, scale: scale)
        case .date: self = .date
        case .time: self = .time
        case .timestamp(let hasZone): self = .timestamp(hasZone: hasZone)
        case .duration: self = .duration
        case .text, .null: self = .text
        case .blob: self = .blob
        case .other: return nil
        }
    }
}
