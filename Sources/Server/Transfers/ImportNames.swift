// Which columns of a table the fields of a file are for.

internal import DatabaseContract
internal import Tabular

/// The names of the columns, as far as request and file say them.
struct ImportNames {
    /// In the order of the fields; `nil`: all columns of the table.
    var names: [String]?
    /// The keys of JSON's values in that order.
    var keys: [[UInt8]]?
    /// Fields of the first line.
    var fieldCount: Int

    init(names: [String]?, keys: [[UInt8]]? = nil, fieldCount: Int) {
        self.names = names
        self.keys = keys
        self.fieldCount = fieldCount
    }
}

extension Result<ImportNames, DriverError> {
    /// What the first row and the request say.
    init(_ found: RowReader.Names, _ wanted: ImportWanted) {
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

    private static var empty: DriverError { DriverError(.badRequest, "The file is empty.", sqlState: "22P04") }
    private static var notText: DriverError {
        DriverError(
            .badRequest, "The names in the first line are not UTF-8.",
            hint: "Name the encoding (\"encoding\").", sqlState: "22021")
    }
}
