import ByteBuffers
import DatabaseContract
import Testing
import WireProtocol

@testable import Server

@Suite("Rows into frames")
struct RowSinkTests {
    private func sink(pageRowCount: Int64? = nil, rowByteCountMax: Int = 1 << 20) -> JSONRowSink {
        let writer = MessageWriter(encoding: .json, framing: .lines)
        let sink = JSONRowSink(writer)
        sink.prepare(id: .integer(7), writer: writer, pageRowCount: pageRowCount, rowByteCountMax: rowByteCountMax)
        sink.begin(ColumnSet([ColumnDescription(name: Array("a".utf8), type: "any", declaredType: nil)]))
        return sink
    }

    private func push(_ text: String, _ sink: JSONRowSink) -> RowSink.State {
        sink.beginRow()
        Array(text.utf8).withUnsafeBytes { sink.text($0) }
        return sink.endRow()
    }

    private func lines(_ sink: JSONRowSink) -> [Substring] {
        String(decoding: sink.buffer.readable, as: UTF8.self).split(separator: "\n")
    }

    @Test func aFrameClosesAtAThousandRows() {
        let sink = sink()
        for _ in 0..<999 { #expect(push("x", sink) == .open) }
        #expect(push("x", sink) == .full)
        sink.reopen()
        sink.finish(QueryReply())
        let lines = lines(sink)
        #expect(lines.count == 2)
        #expect(lines[0].hasSuffix(#"],"more":true}}"#))
        #expect(lines[1].contains(#""rows":[],"more":false"#))
    }

    @Test func aFrameClosesAt64KiB() {
        let sink = sink()
        let text = String(repeating: "y", count: 30_000)
        #expect(push(text, sink) == .open)
        #expect(push(text, sink) == .open)
        #expect(push(text, sink) == .full)
    }

    @Test func aPageCloses() {
        let sink = sink(pageRowCount: 2)
        #expect(push("x", sink) == .open)
        #expect(push("x", sink) == .full)
        #expect(sink.isPageComplete)
    }

    @Test func aRowThatIsTooLargeLeavesNothingHalf() {
        let sink = sink(rowByteCountMax: 100_000)
        #expect(push(String(repeating: "z", count: 100_000), sink) == .overflow)
        sink.closeForError(keepingRows: true)
        let byteCount = sink.buffer.count
        #expect(byteCount == 0)
    }

    @Test func restartForgetsRows() {
        let sink = sink()
        _ = push("gone", sink)
        sink.restart()
        sink.begin(ColumnSet([ColumnDescription(name: Array("a".utf8), type: "any", declaredType: nil)]))
        _ = push("kept", sink)
        sink.finish(QueryReply())
        let lines = lines(sink)
        #expect(lines.count == 1)
        #expect(!lines[0].contains("gone"))
        #expect(lines[0].contains(#""rows":[["kept"]]"#))
    }
}
