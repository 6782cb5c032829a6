// Numbers of what a feed has told, as clients have them.

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
