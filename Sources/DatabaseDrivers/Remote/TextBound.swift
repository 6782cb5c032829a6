// How much of a statement's text a loop looks at by itself before a server has it.

enum TextBound {
    /// A text that is longer is not looked through on a loop: what could be found there is taken for granted, and its first words have
    /// to be within so many bytes. Whatever a text of this length holds, it takes less than a millisecond.
    static let byteCountMax = 32 << 10

    /// Bytes that are needed to tell what begins at a place: `/*M!` is the longest.
    static let lookaheadByteCount = 4

    /// As much of a text as is looked at.
    static func head(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: text.prefix(byteCountMax))
    }

    /// Its kind cannot be told, so that it might be one that is refused.
    static let tooFar = DriverError(
        .badRequest, "The words with which the statement begins are not within its first \(byteCountMax >> 10) KiB.",
        hint: "Leave out the blanks and comments in front of it.", sqlState: "54000")
}
