// How many columns of a terminal a text takes, and how it is shown there without harm.

/// Widths in terminal columns.
///
/// By grapheme cluster: a character as readers see it is one or two columns wide, whatever it consists of.
/// Terminals differ on rare emoji; this follows the Unicode properties.
/// - Source: Unicode Standard Annex #11, "East Asian Width"; Unicode Technical Standard #51
enum DisplayWidth {
    /// Columns of a text that holds no control characters.
    static func of(_ text: String) -> Int {
        let utf8 = text.utf8
        if utf8.allSatisfy({ $0 < 0x80 }) { return utf8.count }
        return text.reduce(0) { $0 + of($1) }
    }

    static func of(_ character: Character) -> Int {
        let scalars = character.unicodeScalars
        guard let first = scalars.first else { return 0 }
        let base = of(first)
        // A flag, a sequence joined by U+200D, or a sign that U+FE0F turns into an emoji.
        if scalars.count > 1, isRegionalIndicator(first) || scalars.contains("\u{FE0F}") { return 2 }
        return base
    }

    static func of(_ scalar: Unicode.Scalar) -> Int {
        if scalar.value < 0x300 { return scalar.value == 0xAD ? 0 : 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        if scalar.properties.isEmojiPresentation { return 2 }
        return isWide(scalar.value) ? 2 : 1
    }

    private static func isRegionalIndicator(_ scalar: Unicode.Scalar) -> Bool {
        (0x1F1E6...0x1F1FF).contains(scalar.value)
    }

    /// East Asian Wide and Fullwidth, in blocks.
    private static func isWide(_ value: UInt32) -> Bool {
        switch value {
        case 0x1100...0x115F, 0x2329...0x232A, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF,
            0xA000...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F,
            0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x16FE0...0x18DFF, 0x1AFF0...0x1B2FF, 0x20000...0x3FFFD:
            true
        default: false
        }
    }

    /// The longest beginning of `text` that fits `width` columns.
    static func prefix(_ text: String, width: Int) -> Substring {
        var used = 0
        var index = text.startIndex
        while index < text.endIndex {
            used += of(text[index])
            if used > width { break }
            index = text.index(after: index)
        }
        return text[..<index]
    }
}

/// Makes control characters visible, so that data can neither move the cursor nor disguise itself.
enum TerminalEscaping {
    /// The text with each control character spelled out: `\n`, `\t`, `\x1b`, `\u{202e}`.
    static func visible(_ text: String) -> String {
        // Most texts are plain; the scan is over bytes.
        guard text.utf8.contains(where: { $0 < 0x20 || $0 >= 0x7f }) else { return text }
        guard text.unicodeScalars.contains(where: isHarmful) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isHarmful(scalar) { result += escape(scalar) } else { result.unicodeScalars.append(scalar) }
        }
        return result
    }

    /// The same, with line ends and tabs as they are.
    static func visibleLines(_ text: String) -> String {
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        return lines.map { line in
            line.split(separator: "\t" as Character, omittingEmptySubsequences: false).map { visible(String($0)) }
                .joined(separator: "\t")
        }.joined(separator: "\n")
    }

    /// Control characters, and the marks that reorder text (Unicode Technical Report #36).
    static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7f...0x9f, 0x061C, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    static func escape(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        default: break
        }
        let hex = String(scalar.value, radix: 16)
        return scalar.value < 0x100 ? "\\x" + (hex.utf8.count < 2 ? "0" : "") + hex : "\\u{\(hex)}"
    }
}
