// The encodings and framings that the daemon speaks, in one place. What they are is in WireProtocol; how rows become theirs, here.

internal import WireProtocol

/// An encoding that rows of results can be written in.
protocol RowEncoding: EncodingFormat {
    /// Makes the sink for the rows of one result after the other. A class of its own for each encoding, so that a value is appended by the
    /// one call that the driver makes.
    static func makeRowSink(_ writer: MessageWriter) -> WireRowSink
}

/// How clients may speak to the daemon.
struct FormatList: Sendable {
    /// The first is that of a connection before its first byte.
    var framings: [any FramingFormat.Type]
    var encodings: [any RowEncoding.Type]

    /// To add an encoding or a framing, write it down here.
    static let standard = FormatList(
        framings: [LineFraming.self, LengthFraming.self], encodings: [MessagePackFormat.self, JSONFormat.self])

    /// What tells them apart.
    func makeTable() -> WireFormats { WireFormats(framings: framings, encodings: encodings) }

    /// What takes rows in the encoding of the writer, which is one of these.
    func makeRowSink(_ writer: MessageWriter) -> WireRowSink {
        guard let encoding = encodings.first(where: { $0.number == writer.encoding.number }) else {
            preconditionFailure("rows are wanted in an encoding that is not spoken")
        }
        return encoding.makeRowSink(writer)
    }
}

extension MessagePackFormat: RowEncoding {
    static func makeRowSink(_ writer: MessageWriter) -> WireRowSink { MessagePackRowSink(writer) }
}

extension JSONFormat: RowEncoding {
    static func makeRowSink(_ writer: MessageWriter) -> WireRowSink { JSONRowSink(writer) }
}
