// Comments of MySQL whose content the server runs.

/// `/*! … */`, `/*!50110 … */` and, for MariaDB, `/*M! … */`: the content is a part of the statement.
///
/// Whether a server runs it depends on its version, which a text does not know: it is taken for run. Versions 99999 and 999999 are those of no server;
/// people hide text by them.
/// - Source: https://dev.mysql.com/doc/refman/8.4/en/comments.html, https://mariadb.com/kb/en/comment-syntax/
public enum ExecutableComment {
    /// What stands between `/*` and the content, byte by byte.
    struct Header: Sendable {
        enum Step { case header, content, comment }

        private enum State {
            case start, letter
            case version(Int, digitCount: Int)
            case comment
        }

        private var state = State.start

        private static let digitCountMax = 6
        private static let versionsOfNone = [99_999, 999_999]

        /// The mark was read, and perhaps a part of the version.
        var isExecutable: Bool { if case .version = state { true } else { false } }

        /// - Returns: what the byte is: one of the header, the first one of the content, or one of an ordinary comment.
        mutating func take(_ byte: UInt8) -> Step {
            switch state {
            case .start where byte == UInt8(ascii: "M"): state = .letter
            case .start where byte == UInt8(ascii: "!"), .letter where byte == UInt8(ascii: "!"):
                state = .version(0, digitCount: 0)
            case .version(let version, let count) where byte.isDigit && count < Self.digitCountMax:
                state = .version(version * 10 + Int(byte - UInt8(ascii: "0")), digitCount: count + 1)
            case .version(let version, _) where !Self.versionsOfNone.contains(version): return .content
            default:
                state = .comment
                return .comment
            }
            return .header
        }
    }

    /// Where the content begins.
    /// - Parameters:
    ///   - text: the text.
    ///   - start: the place of the slash.
    /// - Returns: `nil` for a comment that is one for every server.
    public static func content(_ text: [UInt8], from start: Int) -> Int? {
        var header = Header()
        var index = start + 2
        while index < text.count {
            switch header.take(text[index]) {
            case .header: index += 1
            case .content: return index
            case .comment: return nil
            }
        }
        return header.isExecutable ? index : nil
    }
}
