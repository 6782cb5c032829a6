// What a client is told of an error.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension ErrorReply {
    /// The fields that are known.
    init(_ error: RequestError.Fields) {
        self.init()
        code = "\(error.code.name)"
        message = Self.cut(error.message)
        detail = error.detail.map(Self.cut)
        hint = error.hint.map(Self.cut)
        sqlState = error.sqlState.map(Self.cut)
        vendorCode = error.details?.vendorCode.map(Int64.init)
        position = error.details?.place.map(Position.init)
        statementIndex = error.statementIndex.map(Int64.init)
        rowIndex = error.details?.rowIndex.map(Int64.init)
        if error.isRetryable ?? error.code.isRetryable { isRetryable = true }
        retryAfterMilliseconds = error.retryAfterMilliseconds
        limit = error.limit.map(Limit.init)
        holder = error.details?.holder.map(Holder.init)
    }

    /// Whoever makes many errors without reading them has them all written: what an engine says of one has its bound.
    private static let textByteCountMax = 16 << 10

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > textByteCountMax else { return text }
        var text = text
        return text.withUTF8 { DriverError.cut(UnsafeRawBufferPointer($0), byteCountMax: textByteCountMax) }
    }
}

extension ErrorReply.Position {
    fileprivate init(_ place: TextPlace) {
        self.init()
        offset = Int64(place.offset)
        line = Int64(place.line)
        column = Int64(place.column)
    }
}

extension ErrorReply.Limit {
    fileprivate init(_ report: LimitReport) {
        self.init()
        name = "\(report.name)"
        value = report.value
        used = report.used
        uid = report.account?.uid.map(Int64.init)
    }
}

extension ErrorReply.Holder {
    fileprivate init(_ holder: LockHolder) {
        self.init()
        uid = Int64(holder.uid)
        pid = Int64(holder.pid)
        sinceMilliseconds = (MonotonicInstant.now.nanoseconds - holder.sinceNanoseconds) / 1_000_000
    }
}
