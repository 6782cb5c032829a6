// Steps through JSON whose bytes are all there. Strings are unescaped where they stand, since they only become shorter.

internal import CNumbers

struct JSONScanner {
    let base: UnsafeMutablePointer<UInt8>
    private var index: Int
    private let end: Int

    /// Arrays and objects within each other.
    private static let depthMax = 64

    init(_ base: UnsafeMutablePointer<UInt8>, _ start: Int, _ end: Int) {
        self.base = base
        index = start
        self.end = end
    }

    var isAtEnd: Bool { index >= end }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }

    mutating func skipSpace() { while index < end, Self.isSpace(base[index]) { index += 1 } }

    mutating func take(_ byte: UInt8) -> Bool {
        guard index < end, base[index] == byte else { return false }
        index += 1
        return true
    }

    mutating func takeSpaced(_ byte: UInt8) -> Bool {
        skipSpace()
        return take(byte)
    }

    /// A key and the colon behind it.
    /// - Returns: where its bytes are.
    mutating func key() -> Range<Int>? {
        guard takeSpaced(UInt8(ascii: "\"")), let text = string(), takeSpaced(UInt8(ascii: ":")) else { return nil }
        return text
    }

    /// The end of the object that begins at `start`, by brackets and strings alone; `nil` if it is not there.
    static func objectEnd(_ base: UnsafeMutablePointer<UInt8>, _ start: Int, _ end: Int) -> Int? {
        var (index, depth, isInString) = (start, 0, false)
        while index < end {
            let byte = base[index]
            index &+= 1
            if isInString {
                if byte == UInt8(ascii: "\\") { index &+= 1 } else if byte == UInt8(ascii: "\"") { isInString = false }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth &+= 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth &-= 1
                if depth == 0 { return index }
            default: break
            }
        }
        return nil
    }

    // MARK: Values

    /// The next value; `nil` if there is none.
    mutating func value() -> Cell? {
        skipSpace()
        guard index < end else { return nil }
        let start = index
        switch base[index] {
        case UInt8(ascii: "\""):
            index += 1
            guard let text = string() else { return nil }
            return Cell(.text, bits: UInt64(text.lowerBound), byteCount: text.count)
        case UInt8(ascii: "t"): return word("true") ? Cell(.bool, bits: 1) : nil
        case UInt8(ascii: "f"): return word("false") ? Cell(.bool, bits: 0) : nil
        case UInt8(ascii: "n"): return word("null") ? Cell(.null) : nil
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            if let special = special() { return special }
            index = start
            guard skip(depth: 0) else { return nil }
            return Cell(.text, bits: UInt64(start), byteCount: index - start)
        default: return number()
        }
    }

    private mutating func word(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard end - index >= count else { return false }
        for offset in 0..<count where base[index + offset] != word.utf8Start[offset] { return false }
        index += count
        return true
    }

    private mutating func number() -> Cell? {
        guard let isInteger = skipNumber() else { return nil }
        let (start, count) = (index - isInteger.count, isInteger.count)
        let text = UnsafeBufferPointer(start: base + start, count: count)
        if isInteger.isInteger, let value = Int64(String(decoding: text, as: UTF8.self)) {
            return Cell(.integer, bits: UInt64(bitPattern: value))
        }
        // Digits that no integer has stay as they are.
        if isInteger.isInteger { return Cell(.text, bits: UInt64(start), byteCount: count) }
        return Self.real(text)
    }

    private static func real(_ text: UnsafeBufferPointer<UInt8>) -> Cell? {
        guard let start = text.baseAddress else { return nil }
        var value = 0.0
        let result = start.withMemoryRebound(to: CChar.self, capacity: text.count) {
            cnumbers_parse_double($0, text.count, &value)
        }
        return Int(result) == Int(CNUMBERS_OK) ? Cell(.real, bits: value.bitPattern) : nil
    }

    /// Steps over a number.
    private mutating func skipNumber() -> (count: Int, isInteger: Bool)? {
        let start = index
        var isInteger = true
        _ = take(UInt8(ascii: "-"))
        let digits = skipDigits()
        guard digits > 0, digits == 1 || base[index - digits] != UInt8(ascii: "0") else { return nil }
        if take(UInt8(ascii: ".")) {
            isInteger = false
            guard skipDigits() > 0 else { return nil }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            guard skipDigits() > 0 else { return nil }
        }
        return (index - start, isInteger)
    }

    private mutating func skipDigits() -> Int {
        let start = index
        while index < end, base[index] >= UInt8(ascii: "0"), base[index] <= UInt8(ascii: "9") { index += 1 }
        return index - start
    }

    /// Steps over a value that stays text; its strings stay as they are.
    private mutating func skip(depth: Int) -> Bool {
        guard depth < Self.depthMax else { return false }
        skipSpace()
        guard index < end else { return false }
        switch base[index] {
        case UInt8(ascii: "\""): return skipString()
        case UInt8(ascii: "{"): return skipMembers(depth, UInt8(ascii: "}"), hasKeys: true)
        case UInt8(ascii: "["): return skipMembers(depth, UInt8(ascii: "]"), hasKeys: false)
        case UInt8(ascii: "t"): return word("true")
        case UInt8(ascii: "f"): return word("false")
        case UInt8(ascii: "n"): return word("null")
        default: return skipNumber() != nil
        }
    }

    private mutating func skipMembers(_ depth: Int, _ close: UInt8, hasKeys: Bool) -> Bool {
        index += 1
        if takeSpaced(close) { return true }
        while true {
            if hasKeys {
                skipSpace()
                guard index < end, base[index] == UInt8(ascii: "\""), skipString(), takeSpaced(UInt8(ascii: ":")) else {
                    return false
                }
            }
            guard skip(depth: depth + 1) else { return false }
            if takeSpaced(close) { return true }
            guard take(UInt8(ascii: ",")) else { return false }
        }
    }

    private mutating func skipString() -> Bool {
        index += 1
        while index < end {
            let byte = base[index]
            index += 1
            if byte == UInt8(ascii: "\"") { return true }
            if byte < 32 { return false }
            if byte == UInt8(ascii: "\\") { index += 1 }
        }
        return false
    }

    /// An object with one member that stands for a value.
    private mutating func special() -> Cell? {
        guard take(UInt8(ascii: "{")) else { return nil }
        skipSpace()
        for (name, make) in Self.specials {
            let start = index
            guard word(name) else { continue }
            guard takeSpaced(UInt8(ascii: ":")), takeSpaced(UInt8(ascii: "\"")) else { return nil }
            let first = index
            // Nothing of these is ever escaped, and nothing may be changed before it is known what it is.
            while index < end, base[index] != UInt8(ascii: "\""), base[index] != UInt8(ascii: "\\") { index += 1 }
            let text = first..<index
            guard take(UInt8(ascii: "\"")), takeSpaced(UInt8(ascii: "}")) else {
                index = start
                return nil
            }
            return make(base, text)
        }
        return nil
    }

    private typealias Making = (UnsafeMutablePointer<UInt8>, Range<Int>) -> Cell?
    private static var specials: [(StaticString, Making)] {
        [("\"$blob\"", blob), ("\"$int\"", integer), ("\"$real\"", specialReal)]
    }

    private static func integer(_ base: UnsafeMutablePointer<UInt8>, _ text: Range<Int>) -> Cell? {
        let bytes = UnsafeBufferPointer(start: base + text.lowerBound, count: text.count)
        let digits = String(decoding: bytes, as: UTF8.self)
        if let value = Int64(digits) { return Cell(.integer, bits: UInt64(bitPattern: value)) }
        return UInt64(digits) == nil ? nil : Cell(.text, bits: UInt64(text.lowerBound), byteCount: text.count)
    }

    private static func specialReal(_ base: UnsafeMutablePointer<UInt8>, _ text: Range<Int>) -> Cell? {
        switch String(decoding: UnsafeBufferPointer(start: base + text.lowerBound, count: text.count), as: UTF8.self) {
        case "NaN": Cell(.real, bits: Double.nan.bitPattern)
        case "Infinity": Cell(.real, bits: Double.infinity.bitPattern)
        case "-Infinity": Cell(.real, bits: (-Double.infinity).bitPattern)
        default: nil
        }
    }

    /// Base64 with padding; the bytes take its place.
    private static func blob(_ base: UnsafeMutablePointer<UInt8>, _ text: Range<Int>) -> Cell? {
        guard text.count % 4 == 0 else { return nil }
        let start = base + text.lowerBound
        var count = text.count
        while count > 0, text.count - count < 2, start[count - 1] == UInt8(ascii: "=") { count -= 1 }
        for index in 0..<count where sextet(start[index]) == nil { return nil }
        var (target, group, bitCount): (Int, UInt32, Int) = (0, 0, 0)
        for index in 0..<count {
            group = group << 6 | UInt32(sextet(start[index]) ?? 0)
            bitCount += 6
            guard bitCount >= 8 else { continue }
            bitCount -= 8
            start[target] = UInt8(truncatingIfNeeded: group >> UInt32(bitCount))
            target += 1
        }
        return Cell(.blob, bits: UInt64(text.lowerBound), byteCount: target)
    }

    private static func sextet(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - 65
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 97 + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 48 + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    // MARK: Strings

    /// A string behind its first quote, unescaped in its place.
    /// - Returns: where its bytes are.
    private mutating func string() -> Range<Int>? {
        let start = index
        while index < end {
            let byte = base[index]
            if byte == UInt8(ascii: "\"") {
                index += 1
                return start..<(index - 1)
            }
            if byte == UInt8(ascii: "\\") { return stringWithEscapes(start) }
            if byte < 32 { return nil }
            index += 1
        }
        return nil
    }

    private mutating func stringWithEscapes(_ start: Int) -> Range<Int>? {
        var target = index
        while index < end {
            var byte = base[index]
            index += 1
            if byte == UInt8(ascii: "\"") { return start..<target }
            if byte < 32 { return nil }
            if byte == UInt8(ascii: "\\") {
                guard index < end else { return nil }
                byte = base[index]
                index += 1
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): break
                case UInt8(ascii: "b"): byte = 8
                case UInt8(ascii: "f"): byte = 12
                case UInt8(ascii: "n"): byte = 10
                case UInt8(ascii: "r"): byte = 13
                case UInt8(ascii: "t"): byte = 9
                case UInt8(ascii: "u"):
                    guard let scalar = scalar() else { return nil }
                    for unit in Character(scalar).utf8 {
                        base[target] = unit
                        target += 1
                    }
                    continue
                default: return nil
                }
            }
            base[target] = byte
            target += 1
        }
        return nil
    }

    /// What `\u` and four digits, or two of them, stand for.
    private mutating func scalar() -> Unicode.Scalar? {
        guard let first = unit() else { return nil }
        if UTF16.isTrailSurrogate(UInt16(first)) { return nil }
        guard UTF16.isLeadSurrogate(UInt16(first)) else { return Unicode.Scalar(first) }
        guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")), let second = unit(),
            UTF16.isTrailSurrogate(UInt16(second))
        else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
    }

    private mutating func unit() -> UInt32? {
        guard end - index >= 4 else { return nil }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Hex.value(base[index]) else { return nil }
            value = value << 4 | UInt32(digit)
            index += 1
        }
        return value
    }
}
