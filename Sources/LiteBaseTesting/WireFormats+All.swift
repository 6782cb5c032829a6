// What the daemon speaks, for tests and fuzzers that do not have its server; ServerTests compares the two lists.

public import WireProtocol

extension WireFormats {
    /// Every framing and encoding of the protocol.
    public static let all = WireFormats(
        framings: [LineFraming.self, LengthFraming.self], encodings: [MessagePackFormat.self, JSONFormat.self])
}
