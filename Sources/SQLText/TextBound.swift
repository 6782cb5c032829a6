// How much of a statement's text a loop examines before a server gets it.

public enum TextBound {
    /// A longer text is not searched on a loop: the worst is assumed, and its first words have to be within that many
    /// bytes. Any text of this length takes less than a millisecond. A worker examines a longer request, converts it
    /// for the server and sends it.
    public static let byteCountMax = 32 << 10

    /// Bytes needed to recognise what begins at a position: `/*M!` is the longest.
    static let lookaheadByteCount = 4

    /// The part of a text that is examined.
    static func head(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: text.prefix(byteCountMax))
    }
}
