// The first 100 bytes of a database file (https://sqlite.org/fileformat2.html#the_database_header).

internal import DatabaseContract

/// What the header of a file says that is to become the content of a database.
struct SQLiteFileHeader {
    let pageByteCount: Int
    /// Pages that the file has to have; `nil` if the program that wrote it last did not say.
    let pageCount: Int64?
    /// As `PRAGMA encoding` calls it; `nil` for a database in which nothing was written yet.
    let encoding: String?

    static let byteCount = 100
    private static let magic = Array("SQLite format 3\u{0}".utf8)

    /// - Parameter bytes: the first `byteCount` bytes.
    /// - Throws: that these are not the first bytes of a database.
    init(_ bytes: UnsafeRawBufferPointer) throws(DriverError) {
        guard bytes.count >= Self.byteCount, bytes[..<16].elementsEqual(Self.magic) else { throw Self.noDatabase }
        func number(_ offset: Int) -> UInt32 {
            bytes[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
        }
        // The largest size does not fit its two bytes.
        let size = Int(bytes[16]) << 8 | Int(bytes[17])
        pageByteCount = size == 1 ? 65_536 : size
        let isSize = (512...65_536).contains(pageByteCount) && pageByteCount.nonzeroBitCount == 1
        // Versions of the format, and fractions that are always the same.
        guard isSize, (1...2).contains(bytes[18]), (1...2).contains(bytes[19]), bytes[21] == 64, bytes[22] == 32,
            bytes[23] == 32
        else { throw Self.noDatabase }
        // Old programs do not write the size: then the numbers of the last change differ.
        let isCounted = number(28) > 0 && number(24) == number(92)
        pageCount = isCounted ? Int64(number(28)) : nil
        switch number(56) {
        case 0: encoding = nil
        case 1: encoding = "UTF-8"
        case 2: encoding = "UTF-16le"
        case 3: encoding = "UTF-16be"
        default: throw Self.noDatabase
        }
    }

    private static let noDatabase = DriverError.unfitFile(
        "it is not a SQLite database, or it is encrypted",
        hint: "What is compressed or encrypted has to be unpacked first; SQL text is run as a script of statements.")
}

extension DriverError {
    /// A file that cannot become the content of a database.
    static func unfitFile(_ reason: String, hint: String) -> DriverError {
        DriverError(
            .badRequest, "The file cannot be restored: \(reason). The database is as it was.", hint: hint,
            sqlState: "22P04")
    }
}
