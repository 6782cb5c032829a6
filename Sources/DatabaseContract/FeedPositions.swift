// Numbers of what a feed has told, as clients have them.

/// A position as a client sends it.
package enum PositionText {
    /// Bytes that one has at most.
    static let byteCountMax = 64

    /// - Returns: the text; an empty one, which is no position, for what is longer: a client may send any length, and loops read it.
    package static func text(_ bytes: some Collection<UInt8>) -> String {
        bytes.count <= byteCountMax ? String(decoding: bytes, as: UTF8.self) : ""
    }
}

/// Positions of one feed: a number as text, which also says whose number it is, and not of another feed or process.
///
/// - Thread: any.
struct FeedPositions: Sendable {
    private let epoch = UInt64.random(in: .min ... .max)

    func position(_ number: UInt64) -> String { "\(String(epoch, radix: 16)).\(number)" }

    /// The number of a position; `nil` if it is not one of this feed's.
    func number(at position: some StringProtocol) -> UInt64? {
        let parts = position.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, UInt64(parts[0], radix: 16) == epoch else { return nil }
        return UInt64(parts[1])
    }
}
