// A place in a statement's text, as a person finds it.

internal import ByteBuffers

/// A place in a text of SQL.
public struct TextPlace: Sendable, Equatable {
    /// In bytes, from 0.
    public let offset: Int
    /// From 1.
    public let line: Int
    /// In characters (Unicode scalars), from 1.
    public let column: Int

    public static let start = TextPlace(0, in: UnsafeRawBufferPointer(start: nil, count: 0))

    /// Counts the lines up to there.
    /// - Thread: that of whoever has found the place: a worker's, if the text is long.
    public init(_ offset: Int, in text: UnsafeRawBufferPointer) {
        let before = UnsafeRawBufferPointer(rebasing: text.prefix(max(0, offset)))
        let newline = UInt8(ascii: "\n")
        var start = before.count
        while start > 0, before[start - 1] != newline { start -= 1 }
        self.offset = offset
        line = before.count(of: newline) + 1
        column = UnsafeRawBufferPointer(rebasing: before[start...]).characterCount + 1
    }
}
