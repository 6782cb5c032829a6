import LiteBaseTesting
import SQLText
import Testing

/// The data behind COPY … FROM stdin, in pieces of any size.
@Suite struct CopyDataTests {
    private static let data = "1\ta\n\\.x\n\\\n\n\\..\n\\.\\.\n.\\.\n \\.\n\\\\.\n\r\n\\\r\n"

    private static func script(_ ending: String) -> [UInt8] {
        Array("COPY t FROM stdin; rest of the line\n\(data)\(ending)SELECT 2;\n".utf8)
    }

    /// Takes a script in pieces of these lengths, in turn.
    private static func taken(_ script: [UInt8], _ lengths: [Int]) -> (data: [UInt8], statements: [String], line: Int) {
        var splitter = StatementSplitter(.postgresql)
        var (data, statements, start, turn): ([UInt8], [String], Int, Int) = ([], [], 0, 0)
        while start < script.count {
            let end = min(script.count, start + lengths[turn % lengths.count])
            var rest = script[start..<end]
            (start, turn) = (end, turn + 1)
            while true {
                if splitter.isInData { data += splitter.takeData(&rest).bytes }
                guard let statement = splitter.next(&rest) else { break }
                statements.append(statement.text ?? "")
            }
        }
        return (data, statements, splitter.line)
    }

    @Test(arguments: ["\\.\n", "\\.\r\n"])
    func dataAreAsTheyStand(ending: String) {
        let script = Self.script(ending)
        let lineCount = script.count { $0 == UInt8(ascii: "\n") }
        for length in 1...script.count {
            let taken = Self.taken(script, [length])
            #expect(String(decoding: taken.data, as: UTF8.self) == Self.data, "pieces of \(length)")
            #expect(taken.statements == ["COPY t FROM stdin", "SELECT 2"])
            #expect(taken.line == lineCount + 1)
        }
        var generator = SeededGenerator(seed: 20_260_817)
        for _ in 0..<2_000 {
            let lengths = (0..<5).map { _ in Int.random(in: 1...7, using: &generator) }
            #expect(
                String(decoding: Self.taken(script, lengths).data, as: UTF8.self) == Self.data, "pieces of \(lengths)")
        }
    }

    @Test func dataThatAreNotTakenAreDropped() {
        var splitter = StatementSplitter(.postgresql)
        #expect(splitter.append(Self.script("\\.\n")).map(\.text) == ["COPY t FROM stdin", "SELECT 2"])
    }

    @Test func dataMayBeginWithoutBeingTaken() {
        var splitter = StatementSplitter(.postgresql)
        var rest = Self.script("\\.\n")[...]
        _ = splitter.next(&rest)
        let first = splitter.takeData(&rest)
        #expect(first.isEnd && !splitter.isInData && splitter.next(&rest)?.text == "SELECT 2")
    }

    @Test(arguments: [
        ("COPY t FROM STDIN", true), ("copy s.t(a, b) from stdin with (format csv)", true),
        ("/* x */ COPY t FROM -- y\n stdin", true),
        ("COPY t TO STDOUT", false), ("COPY (SELECT 1 FROM stdin) TO STDOUT", false),
        ("SELECT 'COPY t FROM STDIN'", false),
        ("COPY t FROM 'stdin'", false), ("COPY", false), ("", false),
    ])
    func whichStatementsTakeInput(sql: String, takes: Bool) {
        #expect(CopyStatement.takesInput(Array(sql.utf8)) == takes)
    }
}
