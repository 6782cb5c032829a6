// The type of a column in PostgreSQL: that of its declaration where all of its values fit, else one that holds them.

/// A type of PostgreSQL.
public enum ColumnType: String, Sendable {
    case bigint, numeric, text, bytea
    case double = "double precision"

    /// With the order of bytes, which is that of SQLite.
    public var definition: String { self == .text ? "text COLLATE \"C\"" : rawValue }

    /// What a declaration means; `nil`: nothing.
    ///
    /// Values stay what programs get now: an integer for BOOLEAN, text for DATE.
    /// - Source: sqlite.org/datatype3.html, "Determination Of Column Affinity"
    init?(declared: String) {
        let words = declared.uppercased()
        func has(_ part: String) -> Bool {
            words.utf8.indices.contains { words.utf8[$0...].starts(with: part.utf8) }
        }
        if has("INT") {
            self = .bigint
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            self = .text
        } else if has("BLOB") {
            self = .bytea
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            self = .double
        } else if has("BOOL") {
            self = .bigint
        } else if has("DEC") || has("NUM") {
            self = .numeric
        } else if has("DATE") || has("TIME") {
            self = .text
        } else {
            return nil
        }
    }

    func holds(_ facts: ColumnFacts) -> Bool {
        switch self {
        case .bigint: facts.integerCount == facts.valueCount
        case .double: facts.integerCount + facts.realCount == facts.valueCount && !facts.hasWideIntegers
        case .numeric: facts.integerCount + facts.realCount == facts.valueCount && facts.infinityCount == 0
        case .text: facts.textCount == facts.valueCount
        case .bytea: facts.blobCount == facts.valueCount
        }
    }
}

/// What becomes of a column's values.
struct ColumnChoice {
    let type: ColumnType
    /// Without its object.
    private(set) var findings: [(weight: Finding.Weight, kind: Finding.Kind, cause: String, remedy: String)] = []

    /// Bytes of a value: what COPY takes in a line, where each byte of a blob is two characters.
    private static let byteCountMax: Int64 = 400 << 20

    init(_ column: SourceColumn, table: String) {
        let facts = column.facts
        let declared = ColumnType(declared: column.declaredType)
        let (name, relation) = (Self.quoted(column.name), Self.quoted(table))
        if let declared, declared.holds(facts) {
            type = declared
        } else if let found = [ColumnType.bigint, .text, .bytea, .double, .numeric].first(where: { $0.holds(facts) }) {
            type = facts.valueCount == 0 ? .text : found
            if declared != nil {
                let was = "declared \(column.declaredType), and its values are \(Self.kinds(facts))"
                findings.append((.note, .type, "\(was): it becomes \(found.rawValue)", ""))
            }
        } else {
            type = .text
            let cause = "its values are \(Self.kinds(facts)), and a column of PostgreSQL has one type"
            let look = "SELECT typeof(\(name)), count(*) FROM \(relation) GROUP BY 1"
            if facts.blobCount > 0 || facts.infinityCount > 0 || facts.inexactCount > 0 {
                findings.append((.loss, .value, cause, "make them of one type; see \(look)"))
            } else {
                findings.append(
                    (.change, .type, "\(cause): they become text", "or make them of one type before; see \(look)"))
            }
        }
        note(facts, "\(name) FROM \(relation)", name)
    }

    private mutating func note(_ facts: ColumnFacts, _ source: String, _ name: String) {
        if facts.nulTextCount > 0 {
            findings.append(
                (
                    .loss, .value,
                    "\(facts.nulTextCount) of its texts have the character 0, which PostgreSQL does not store",
                    "replace it: SELECT \(source) WHERE instr(\(name), char(0)) > 0"
                ))
        }
        if facts.invalidTextCount > 0 {
            findings.append(
                (
                    .loss, .value, "\(facts.invalidTextCount) of its texts are not UTF-8",
                    "correct them, or make them blobs: CAST(\(name) AS BLOB)"
                ))
        }
        if facts.longestByteCount > Self.byteCountMax {
            findings.append(
                (
                    .loss, .value,
                    "a value has \(facts.longestByteCount) bytes, and PostgreSQL takes a row of 1 GB at most",
                    "keep such values in files"
                ))
        }
    }

    private static func quoted(_ name: String) -> String { Names(keepsCase: true).quoted(name) }

    private static func kinds(_ facts: ColumnFacts) -> String {
        let counts = [
            (facts.integerCount, "integer"), (facts.realCount, "real"), (facts.textCount, "text"),
            (facts.blobCount, "blob"),
        ]
        return counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }
}
