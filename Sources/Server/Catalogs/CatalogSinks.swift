// Where the rows of an engine's statements about its catalog go.

internal import Catalog
internal import DatabaseContract
internal import LinuxSystem

/// Gathers all values as one text: a fingerprint, or names.
final class CatalogTextSink: RowSink {
    /// The first value of each row.
    private(set) var firsts: [String] = []
    private(set) var text = ""
    /// There was no value but null.
    private(set) var isEmpty = true
    private var isFirst = true

    /// Longer ones are not fingerprints.
    private static let byteCountMax = 1 << 20

    private func take(_ value: String) {
        if isFirst { firsts.append(value) }
        isFirst = false
        isEmpty = false
        if text.utf8.count < Self.byteCountMax { text += value + "\u{1f}" }
    }

    override func beginRow() { isFirst = true }
    override func null() {
        let wasEmpty = isEmpty
        take("")
        isEmpty = wasEmpty
    }
    override func bool(_ value: Bool) { take("\(value)") }
    override func integer(_ value: Int64) { take("\(value)") }
    override func unsigned(_ value: UInt64) { take("\(value)") }
    override func real(_ value: Double) { take("\(value)") }
    override func text(_ bytes: UnsafeRawBufferPointer) { take(String(decoding: bytes, as: UTF8.self)) }
    override func blob(_ bytes: UnsafeRawBufferPointer) { take(String(decoding: bytes, as: UTF8.self)) }
    override func restart() {
        firsts = []
        text = ""
    }
}

/// Takes the rows of a level, and charges for them who has asked.
final class CatalogSink: RowSink {
    // The thread that fills has it alone, and nothing that it calls reaches back into it.
    @exclusivity(unchecked) private var feed: CatalogFeed?
    /// The same one, without counting a reference for each of a million rows' values.
    private let uncountedFeed: Unmanaged<CatalogFeed>
    private var charge: AccountCharge?
    private let start: CatalogBuilder.Mark
    private var builder: CatalogBuilder?
    @exclusivity(unchecked) private(set) var failure: CatalogError?
    /// Records for which was charged.
    @exclusivity(unchecked) private var chargedCount = 0

    init(_ level: CatalogLevel, _ builder: CatalogBuilder, _ source: any CatalogSource, _ charge: AccountCharge) {
        self.builder = builder
        self.charge = charge
        start = builder.mark
        let feed = CatalogFeed(level, into: builder) { source.complete($0) }
        uncountedFeed = Unmanaged.passUnretained(feed)
        self.feed = feed
    }

    @inline(__always)
    private func withFeed(_ body: (CatalogFeed) -> Void) {
        if feed != nil { uncountedFeed._withUnsafeGuaranteedRef(body) }
    }

    /// Ends the result.
    func finish() {
        guard failure == nil else { return }
        do throws(CatalogError) { try feed?.end() } catch { failure = error }
        chargeNow()
    }

    /// Lets go of what was filled, and of its charge.
    func release() {
        feed = nil
        builder = nil
        charge = nil
    }

    private static let unchargedCountMax = 4_096

    private func chargeNow() { if let builder { charge?.set(builder.byteCount) } }

    override func begin(_ columns: ColumnSet) { feed?.begin(columns.columns.map(\.name)) }
    override func beginRow() { withFeed { $0.beginRow() } }
    override func null() { withFeed { $0.null() } }
    override func bool(_ value: Bool) { withFeed { $0.integer(value ? 1 : 0) } }
    override func integer(_ value: Int64) { withFeed { $0.integer(value) } }
    override func unsigned(_ value: UInt64) { withFeed { $0.integer(Int64(clamping: value)) } }
    override func real(_ value: Double) { withFeed { $0.integer(Int64(exactly: value.rounded()) ?? 0) } }
    override func text(_ bytes: UnsafeRawBufferPointer) { withFeed { $0.text(bytes) } }
    override func blob(_ bytes: UnsafeRawBufferPointer) { withFeed { $0.text(bytes) } }

    override func endRow() -> State {
        do throws(CatalogError) {
            try feed?.endRow()
        } catch {
            failure = error
            return .overflow
        }
        if let count = feed?.recordCount, count - chargedCount >= Self.unchargedCountMax {
            chargedCount = count
            chargeNow()
        }
        return .open
    }

    override func restart() {
        builder?.goBack(to: start)
        feed?.restart()
        failure = nil
    }
}
