import Testing

@testable import litebase

@Suite struct StringSearchTests {
    @Test(
        arguments: [
            ("a--b", "--", 1), ("--", "--", 0), ("-", "--", nil), ("", "x", nil), ("abcabd", "abd", 3), ("x", "", 0),
            ("", "", 0),
            ("äöü", "ü", 2), ("aab", "ab", 1),
            // One character, of which the letter is only a part.
            ("e\u{301}", "e", nil),
        ] as [(String, String, Int?)])
    func theFirstPlace(text: String, part: String, offset: Int?) {
        let range = text.firstRange(of: part)
        #expect(range.map { text.distance(from: text.startIndex, to: $0.lowerBound) } == offset)
        #expect(range.map { String(text[$0]) } == offset.map { _ in part })
        #expect(text.contains(part) == (offset != nil))
        // In a part of a text, whose indices do not begin at its own beginning.
        #expect("<\(text)".dropFirst().contains(part) == (offset != nil))
    }

    @Test func partsBetweenSeparators() {
        #expect("1..10".split(separator: "..") == ["1", "10"])
        #expect("..10..".split(separator: "..") == ["10"])
        #expect("..10..".split(separator: "..", omittingEmptySubsequences: false) == ["", "10", ""])
        #expect("".split(separator: "..", omittingEmptySubsequences: false) == [""])
    }
}
