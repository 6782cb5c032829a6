// Rows on their way into frames. The subclasses differ in the encoding of values only.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// Builds `query_response` frames from rows.
///
/// Owns its buffer, because a worker may fill it while the connection sends what was filled before.
/// - Thread: that of the run.
/// - Source: docs/protocol.md, Rows.
class WireRowSink: RowSink {
    @exclusivity(unchecked) final var buffer = ByteBuffer()
    @exclusivity(unchecked) final var writer: MessageWriter
    @exclusivity(unchecked) private var id = RequestID.none
    /// The type of its frames.
    @exclusivity(unchecked) private var frameType = QueryRequest.type.replyName
    @exclusivity(unchecked) private var rowsInFrame = 0
    @exclusivity(unchecked) private var isFrameOpen = false
    @exclusivity(unchecked) private var rowsLeftInPage = Int64.max
    @exclusivity(unchecked) private var rowLimit = Int.max
    @exclusivity(unchecked) private var rowStart = 0
    @exclusivity(unchecked) private var isRowTooLarge = false
    private(set) final var columnCount = 0
    /// A result was begun and has not ended.
    @exclusivity(unchecked) private(set) final var hasOpenResult = false
    /// Who pays for large values while a worker makes the frame; `nil` for nobody. Not counted: the operation has the connection,
    /// and that its account, until `trim`.
    private unowned(unsafe) var account: UserAccount?
    private var accountByteCountMax = Int.max
    private(set) final var chargedByteCount = 0
    /// What the engine's library holds, which is charged, too.
    private final var heldByteCount = 0
    /// The row ended since its user may not hold more.
    private(set) final var isUserExhausted = false

    /// A frame closes at the first row that reaches one of these.
    private static let frameByteCount = 64 << 10
    private static let frameRowCount = 1_000
    /// Bytes that a worker gathers before it hands them to the loop.
    private static let handOverByteCount = 160 << 10
    /// What a frame may have without being charged.
    private static let unchargedByteCount = 256 << 10
    /// Storage that a sink may keep for its next run.
    private static let keptByteCountMax = 96 << 10

    init(_ writer: MessageWriter) {
        self.writer = writer
    }

    /// Prepares for a run.
    /// The bytes of `id` stay valid until the run has ended; after `pageRowCount` rows the run waits for `fetch`.
    final func prepare(
        id: RequestID, writer: MessageWriter, pageRowCount: Int64?, rowByteCountMax: Int,
        frameType: StaticString = QueryRequest.type.replyName
    ) {
        self.id = id
        self.frameType = frameType
        self.writer = writer
        rowLimit = rowByteCountMax
        rowsLeftInPage = pageRowCount ?? .max
        rowsInFrame = 0
        isFrameOpen = false
        isRowTooLarge = false
        hasOpenResult = false
        buffer.removeAll()
    }

    final override func ignorePages() {
        rowsLeftInPage = .max
        // What has changed something is charged, and never refused.
        accountByteCountMax = .max
    }

    /// Lets the next page begin.
    final func allowPage(_ rowCount: Int64) { rowsLeftInPage = rowCount }

    /// True when the rows of the page are all there.
    final var isPageComplete: Bool { rowsLeftInPage <= 0 }

    final override func begin(_ columns: ColumnSet) {
        columnCount = columns.columns.count
        hasOpenResult = columnCount > 0
        // Behind another result a frame is open, which has nothing in it.
        if isFrameOpen { writer.abandon(in: &buffer) }
        beginFrame()
        writer.key(QueryFrame.columns, into: &buffer)
        let number = Int(writer.encoding.number.rawValue)
        if columns.forms.count <= number || columns.forms[number].isEmpty {
            columns.keep(encode(columns.columns), at: number)
        }
        columns.forms[number].withUnsafeBytes { writer.encoded($0, into: &buffer) }
        beginRows()
    }

    /// The array of column maps as it stands in a frame.
    private func encode(_ columns: [ColumnDescription]) -> [UInt8] {
        var scratch = ByteBuffer()
        var encoder = MessageWriter(encoding: writer.encoding, framing: writer.framing)
        encoder.begin(type: "", id: .none, timestamp: WireTimestamp(nanosecondsSince1970: 0), into: &scratch)
        encoder.key(QueryFrame.columns, into: &scratch)
        let start = scratch.count
        columns.map(ColumnFields.init).write(&encoder, &scratch)
        return Array(scratch.readable[start...])
    }

    private func beginFrame() {
        writer.begin(
            type: frameType, id: id,
            timestamp: WireTimestamp(nanosecondsSince1970: WallClock.nanosecondsSince1970), into: &buffer)
        isFrameOpen = true
        rowsInFrame = 0
    }

    private func beginRows() {
        writer.key(QueryFrame.rows, into: &buffer)
        writer.beginArray(into: &buffer)
    }

    final override func beginRow() {
        writer.prepareValue(into: &buffer)
        rowStart = buffer.count
        openRow()
    }

    final override func hasRoom(for byteCount: Int) -> Bool {
        guard byteCount <= rowLimit &- (buffer.count &- rowStart) else {
            isRowTooLarge = true
            return false
        }
        let wanted = buffer.count &+ byteCount
        return wanted &- chargedByteCount <= Self.unchargedByteCount || charge(wanted)
    }

    /// Lets an account pay for large values until `discharge`; a row that needs more than it may have ends as one that is too
    /// large, where the driver lets it.
    final func setPayer(_ account: UserAccount, byteCountMax: Int, mayRefuse: Bool) {
        self.mayRefuse = mayRefuse
        self.account = account
        accountByteCountMax = byteCountMax
        isUserExhausted = false
    }

    private func charge(_ byteCount: Int) -> Bool {
        guard let account else { return true }
        let used = account.bufferedBytes.add(byteCount &- chargedByteCount)
        chargedByteCount = byteCount
        // The row is there already: for what it takes there it is not refused.
        if used - heldByteCount <= accountByteCountMax || !mayRefuse { return true }
        isUserExhausted = true
        isRowTooLarge = true
        return false
    }

    /// Nothing is charged any more: the rows are gone, or charged elsewhere.
    final func discharge() {
        guard chargedByteCount > 0 || heldByteCount > 0 else { return }
        account?.bufferedBytes.add(-chargedByteCount - heldByteCount)
        chargedByteCount = 0
        heldByteCount = 0
    }

    final override func noteHeld(_ byteCount: Int) {
        guard let account else { return }
        account.bufferedBytes.add(byteCount - heldByteCount)
        heldByteCount = byteCount
    }

    final override var rowByteCountMax: Int { rowLimit }

    final override func endRow() -> State {
        closeRow()
        rowsInFrame &+= 1
        rowsLeftInPage &-= 1
        let byteCount = buffer.count &- writer.frameStart
        if isRowTooLarge {
            isRowTooLarge = false
            writer.abandon(in: &buffer)
            isFrameOpen = false
            return .overflow
        }
        if byteCount < Self.frameByteCount && rowsInFrame < Self.frameRowCount && rowsLeftInPage > 0 { return .open }
        closeFrame()
        return .full
    }

    private func closeFrame(_ end: ResultEnd? = nil) {
        writer.endArray(into: &buffer)
        writer.field(QueryFrame.more, true, into: &buffer)
        if let end { writer.field(QueryFrame.resultEnd, QueryResultEnd(end), into: &buffer) }
        writer.end(into: &buffer)
        isFrameOpen = false
    }

    final override func endResult(_ end: ResultEnd) {
        closeFrame(end)
        hasOpenResult = false
    }

    final override func reopen() {
        beginFrame()
        beginRows()
    }

    final override func restart() {
        rowsLeftInPage = rowsLeftInPage == .max ? .max : rowsLeftInPage &+ Int64(rowsInFrame)
        isFrameOpen = false
        hasOpenResult = false
        rowsInFrame = 0
        buffer.removeAll()
        writer = MessageWriter(encoding: writer.encoding, framing: writer.framing, int64Style: writer.int64Style)
    }

    final override var hasRoom: Bool { buffer.count < Self.handOverByteCount && rowsLeftInPage > 0 }
    final override var pendingByteCount: Int { buffer.count }

    /// Ends the last frame.
    /// - Parameters:
    ///   - reply: what the last frame says behind `more`.
    ///   - hasRows: false for a frame that has none, and no array of them.
    final func finish(_ reply: consuming some ReplyData, hasRows: Bool = true) {
        if hasRows {
            if !isFrameOpen { reopen() }
            writer.endArray(into: &buffer)
        } else {
            beginFrame()
        }
        writer.field(QueryFrame.more, false, into: &buffer)
        reply.writeFields(&writer, &buffer)
        writer.end(into: &buffer)
        isFrameOpen = false
    }

    /// Writes a frame that has no rows, and is not the last one.
    final func write(_ reply: consuming some ReplyData) {
        writer.begin(
            type: frameType, id: id,
            timestamp: WireTimestamp(nanosecondsSince1970: WallClock.nanosecondsSince1970), into: &buffer)
        reply.writeFields(&writer, &buffer)
        writer.end(into: &buffer)
    }

    /// Ends without a last frame, because an error follows: rows that are there are still delivered.
    final func closeForError(keepingRows: Bool) {
        guard isFrameOpen else { return }
        if keepingRows && rowsInFrame > 0 {
            closeFrame()
        } else {
            writer.abandon(in: &buffer)
        }
        isFrameOpen = false
    }

    /// Gives back what a large result has left.
    final func trim() {
        discharge()
        account = nil
        if buffer.capacity > Self.keptByteCountMax { buffer.releaseStorage() } else { buffer.removeAll() }
    }

    // MARK: What the encodings do

    /// Starts a list of values within a row, `count` of them.
    func openList(_ count: Int) {}
    func closeList() {}
    /// Writes a JSON object as a map; null, if it is none.
    func object(_ bytes: UnsafeRawBufferPointer) { null() }
    /// Starts the array of a row.
    func openRow() {}
    /// Ends the array of a row.
    func closeRow() {}
}
