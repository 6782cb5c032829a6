import DatabaseContract
import Testing

/// Lines and columns up to a place in a text.
struct TextPlaceTests {
    @Test(
        arguments: [
            ("", 0, 1, 1), ("SELECT", 0, 1, 1), ("SELECT", 3, 1, 4), ("a\nb", 1, 1, 2), ("a\nb", 2, 2, 1),
            ("\n\nüß x", 6, 3, 3), ("😀 x", 5, 1, 3), ("abc", 3, 1, 4), ("abc\n", 4, 2, 1),
        ] as [(String, Int, Int, Int)])
    func places(_ text: String, _ offset: Int, _ line: Int, _ column: Int) {
        let place = Array(text.utf8).withUnsafeBytes { TextPlace(offset, in: $0) }
        #expect(place.offset == offset && place.line == line && place.column == column)
    }

    /// What an engine says must not lead out of the text.
    @Test func placesThatAreNotThere() {
        let text = Array("a\nb".utf8)
        #expect(text.withUnsafeBytes { TextPlace(77, in: $0) }.line == 2)
        #expect(text.withUnsafeBytes { TextPlace(-1, in: $0) }.line == 1)
        #expect(TextPlace.start == text.withUnsafeBytes { TextPlace(0, in: $0) })
    }

    @Test func aLongLine() {
        let text = Array(("\n" + String(repeating: "é", count: 100_000)).utf8)
        let place = text.withUnsafeBytes { TextPlace(200_001, in: $0) }
        #expect(place.line == 2 && place.column == 100_001)
    }
}
