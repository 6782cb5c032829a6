// The encodings and framings that somebody speaks, and how they are told apart.

/// Tells the framing of a stream by its first byte, and the encoding of each message by its own.
///
/// - Thread: any; each loop has one of its own, so that no count of references is shared by all.
public final class WireFormats: Sendable {
    /// In the order in which they were named.
    public let encodings: [WireEncoding]
    public let framings: [Framing]
    /// By the first byte of a message, the place of its encoding and 1; 0 where there is none.
    private let places: [UInt8]

    /// - Parameters:
    ///   - framings: the first is that of a connection before its first byte, as a person would send it.
    ///   - encodings: those that are spoken.
    public init(framings: [any FramingFormat.Type], encodings: [any EncodingFormat.Type]) {
        precondition(!framings.isEmpty, "messages have no framing")
        self.framings = framings.map { Framing($0) }
        self.encodings = encodings.map { WireEncoding($0) }
        precondition(
            self.framings.allSatisfy { $0.number.rawValue < UInt8.bitWidth }, "a framing's number is too large")
        precondition(Set(self.framings.map(\.number)).count == framings.count, "two framings have one number")
        precondition(Set(self.encodings.map(\.number)).count == encodings.count, "two encodings have one number")
        places = (0...UInt8.max).map { byte in
            let found = encodings.indices.filter { encodings[$0].begins(with: byte) }
            precondition(found.count <= 1, "two encodings begin with the same byte")
            return UInt8(found.first.map { $0 + 1 } ?? 0)
        }
    }

    /// The framing of a connection before its first byte.
    public var firstFraming: Framing { framings[0] }

    /// One more than the largest number of an encoding.
    public var encodingNumberEnd: Int { 1 + Int(encodings.map(\.number.rawValue).max() ?? 0) }

    /// The framing of a stream that starts with that byte; `nil` when there is none.
    func framing(startingWith byte: UInt8) -> Framing? { framings.first { $0.format.begins(with: byte) } }

    /// Tells the encoding of one message; `nil` when it can be none that may come in this framing.
    /// - Source: protocol.md, "Framing and encoding"
    public func encoding(of body: UnsafeRawBufferPointer, in framing: Framing) -> WireEncoding? {
        guard body.count > 0 else { return nil }
        let place = Int(places[Int(body[0])])
        guard place > 0 else { return nil }
        let encoding = encodings[place &- 1]
        return encoding.isAllowed(in: framing) ? encoding : nil
    }

    /// The encoding that another process has called by that number; `nil` for one that is not spoken here.
    public func encoding(_ number: FormatNumber) -> WireEncoding? { encodings.first { $0.number == number } }
    /// The framing that another process has called by that number; `nil` for one that is not spoken here.
    public func framing(_ number: FormatNumber) -> Framing? { framings.first { $0.number == number } }
}
