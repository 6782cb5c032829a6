// Names and texts within quotes, as all dialects write them: a quote within is doubled. Byte by byte, since clients choose names,
// which may be long, and since an accent behind a quote does not make it another character for SQL.

extension [UInt8] {
    /// Appends a name or a text within quotes.
    /// - Parameters:
    ///   - text: what stands between the quotes.
    ///   - quote: the first quote; that of `[` is `]`.
    public mutating func appendQuoted(_ text: some Sequence<UInt8>, by quote: UInt8) {
        let end = quote == UInt8(ascii: "[") ? UInt8(ascii: "]") : quote
        append(quote)
        for byte in text {
            append(byte)
            if byte == end { append(byte) }
        }
        append(end)
    }
}

extension String {
    /// A name or a text within quotes; see `appendQuoted`.
    public init(quoting text: String, by quote: UInt8) {
        var bytes: [UInt8] = []
        bytes.appendQuoted(text.utf8, by: quote)
        self = String(decoding: bytes, as: UTF8.self)
    }
}
