// Formats of SQLite's `printf` (https://sqlite.org/printf.html; sqlite3_str_vappendf in src/printf.c).

/// What has to be known of a format before SQLite runs it.
enum SQLiteFormat {
    /// How many characters the conversions `%.NNc` write: one after the other, without an end when the text has become too long
    /// (`etCHARX`, up to SQLite 3.41). So this, and not the length of the text, is how long they take.
    /// - Parameters:
    ///   - format: UTF-8.
    ///   - integer: the argument with this index as a number, from 0, that which follows the format; 0 where there is none.
    /// - Returns: a sum that stops at `Int.max`.
    static func repeatedCharacterCount(_ format: UnsafeRawBufferPointer, integer: (Int) -> Int64) -> Int {
        var format = FormatBytes(bytes: format)
        var count = 0
        var argumentIndex = 0
        while format.skip(past: "%") {
            var precision = 0
            scan: while true {
                switch format.byte {
                case "-", "+", " ", "#", "!", "0", ",": format.advance()
                case "1"..."9":
                    _ = format.number()
                    if format.byte != ".", format.byte != "l" { break scan }
                case "*":
                    format.advance()
                    argumentIndex += 1
                    if format.byte != ".", format.byte != "l" { break scan }
                case ".":
                    format.advance()
                    if format.byte == "*" {
                        format.advance()
                        // SQLite takes the lower 32 bits, whatever their sign.
                        precision = abs(Int(Int32(truncatingIfNeeded: integer(argumentIndex))))
                        argumentIndex += 1
                    } else {
                        precision = format.number()
                    }
                    if format.byte != "l" { break scan }
                case "l":
                    format.advance()
                    if format.byte == "l" { format.advance() }
                    break scan
                default: break scan
                }
            }
            switch format.byte {
            case "c":
                count = count.addingReportingOverflow(precision).overflow ? .max : count + precision
                argumentIndex += 1
            case "d", "i", "u", "x", "X", "o", "r", "p", "f", "e", "E", "g", "G", "s", "z", "q", "Q", "w":
                argumentIndex += 1
            case "%", "n": break
            // SQLite ends here.
            default: return count
            }
            format.advance()
        }
        return count
    }
}

/// The bytes of a format that are left. Its end, or a NUL, is read as NUL.
private struct FormatBytes {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var byte: Unicode.Scalar { Unicode.Scalar(index < bytes.count ? bytes[index] : 0) }

    mutating func advance() { index += 1 }

    /// - Returns: whether there is one.
    mutating func skip(past wanted: Unicode.Scalar) -> Bool {
        while byte != wanted {
            if byte.value == 0 { return false }
            advance()
        }
        advance()
        return true
    }

    /// Digits, as SQLite reads them: modulo 2³¹.
    mutating func number() -> Int {
        var number: UInt32 = 0
        while "0"..."9" ~= byte {
            number = number &* 10 &+ (byte.value - 48)
            advance()
        }
        return Int(number & 0x7fff_ffff)
    }
}
