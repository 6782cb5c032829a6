// The pages that a connection has in memory.

internal import CSQLitePages

/// A look at the pages in the cache of one connection, without SQLite.
///
/// Within a read transaction a page in the cache is what the connection's statements see, in every journal mode: SQLite empties the
/// cache when a transaction begins and the file is another one than before (pagerBeginReadTransaction in src/pager.c).
/// - Thread: that of the connection.
struct PageView: ~Copyable {
    private let view: UnsafeMutablePointer<litebase_page_view>

    init() {
        view = .allocate(capacity: 1)
        view.initialize(to: litebase_page_view())
    }

    deinit {
        litebase_end_page_view(view)
        view.deallocate()
    }

    /// Shows the pages of the connection that this thread opens until `endOpening`.
    func beginOpening() { litebase_view_next_pages(view) }
    static func endOpening() { litebase_view_next_pages(nil) }

    /// The bytes of a page, `nil` if it is not in memory. They are valid until SQLite is called for the connection.
    subscript(number: UInt32) -> UnsafeRawPointer? { litebase_page(view, number) }

    /// What the header of the file says; `nil` if its page is not in memory, or is not one.
    var header: FileHeader? { self[1].flatMap { FileHeader($0, pageByteCount: Int(litebase_page_byte_count(view))) } }

    /// What has to be known of a file to read its pages.
    struct FileHeader: Equatable {
        /// Bytes of a page that are used.
        let usableByteCount: Int
        let schemaVersion: Int32
        let isUTF8: Bool

        /// - Source: https://sqlite.org/fileformat2.html#the_database_header
        init?(_ header: UnsafeRawPointer, pageByteCount: Int) {
            let size = Int(header.loadUnaligned(fromByteOffset: 16, as: UInt16.self).bigEndian)
            let reserved = Int(header.load(fromByteOffset: 20, as: UInt8.self))
            usableByteCount = (size == 1 ? 65536 : size) - reserved
            schemaVersion = Int32(bitPattern: header.loadUnaligned(fromByteOffset: 40, as: UInt32.self).bigEndian)
            isUTF8 = header.loadUnaligned(fromByteOffset: 56, as: UInt32.self).bigEndian == 1
            guard (480...max(480, pageByteCount)).contains(usableByteCount) else { return nil }
        }
    }
}
