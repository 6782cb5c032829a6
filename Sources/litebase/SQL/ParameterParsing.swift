// Turns the arguments after the SQL on the command line into parameters.

import LiteBaseClient

/// Reads parameters as people type them.
enum ParameterParsing {
    /// Marks a negative number, or a statement that begins with a comment, in a place where an option could be (see
    /// `protectDashes`); no argument that a person types starts with this control character.
    static let dashMark: Character = "\u{1}"

    /// The word as it was typed.
    static func unmarked(_ word: String) -> String { word.first == dashMark ? String(word.dropFirst()) : word }

    /// All the words of one command.
    ///
    /// `:name=value` (also `@name=`, `$name=`) makes a named parameter; the two kinds do not mix.
    /// - Parameters:
    ///   - words: as they were typed.
    ///   - allText: takes every word as text by position, whatever it looks like.
    /// - Returns: the parameters, in the order of the words.
    /// - Throws: `UsageError` when named and positional ones are mixed.
    static func parameters(_ words: [String], allText: Bool) throws(UsageError) -> Parameters {
        let words = words.map(unmarked)
        if allText { return .positional(words.map(Value.text)) }
        var positional: [Value] = []
        var named: [String: Value] = [:]
        for word in words {
            if let (name, text) = splitNamed(word) {
                guard named.updateValue(value(text), forKey: name) == nil else {
                    throw UsageError("parameter :\(name) is given twice")
                }
            } else {
                positional.append(value(word))
            }
        }
        if !named.isEmpty, !positional.isEmpty {
            throw UsageError("named parameters (:name=value) and positional ones do not mix")
        }
        return named.isEmpty ? .positional(positional) : .named(named)
    }

    /// `:name=value`: the name without its sign, and the value.
    private static func splitNamed(_ word: String) -> (name: String, value: String)? {
        guard let sign = word.first, ":@$".contains(sign), let equals = word.firstIndex(of: "=") else { return nil }
        let name = word[word.index(after: word.startIndex)..<equals]
        let isName = name.unicodeScalars.allSatisfy {
            $0 == "_" || $0.properties.isAlphabetic || ("0"..."9").contains($0)
        }
        guard !name.isEmpty, isName else { return nil }
        return (String(name), String(word[word.index(after: equals)...]))
    }

    /// One value: `null`, an integer, a real, `x'…'` and `'…'` as in SQL; anything else is text.
    ///
    /// `007`, `+1` and integers beyond 64 bits stay text, for nothing of them may get lost.
    static func value(_ word: String) -> Value {
        if word.lowercased() == "null" { return .null }
        if isCanonicalInteger(word) { return Int64(word).map(Value.integer) ?? .text(word) }
        // `99999999999999999.99` as a double is 100000000000000000: what would lose digits stays text, which a column of
        // decimals takes as it is.
        if isReal(word), let number = Double(word), number.isFinite, Digits(word) == Digits("\(number)") {
            return .real(number)
        }
        if let bytes = hexBlob(word) { return .blob(bytes) }
        if let text = quoted(word) { return .text(text) }
        return .text(word)
    }

    private static func isCanonicalInteger(_ word: String) -> Bool {
        let digits = word.hasPrefix("-") ? word.dropFirst() : word[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
        return digits.utf8.count == 1 ? word != "-0" : digits.first != "0"
    }

    /// `1.5`, `-1e-3`, `.5`: digits with a point or an exponent.
    private static func isReal(_ word: String) -> Bool {
        let allowed = word.utf8.allSatisfy { (0x30...0x39).contains($0) || ".eE+-".utf8.contains($0) }
        guard allowed, let first = word.first, "-.0123456789".contains(first) else { return false }
        return word.contains { ".eE".contains($0) } && word.contains(where: \.isNumber)
    }

    /// The digits of a number, from the first to the last that is not zero, and the power of ten of the first: the same for
    /// all spellings of one number.
    private struct Digits: Equatable {
        var isNegative = false
        var digits: [UInt8] = []
        var power = 0

        init(_ word: String) {
            let parts = word.lowercased().split(separator: "e", maxSplits: 1)
            isNegative = word.hasPrefix("-")
            var isBehindPoint = false
            for byte in parts.first?.utf8 ?? "".utf8[...] {
                switch byte {
                case UInt8(ascii: "."): isBehindPoint = true
                case UInt8(ascii: "0")...UInt8(ascii: "9"):
                    if digits.isEmpty, byte == UInt8(ascii: "0") {
                        if isBehindPoint { power -= 1 }
                    } else {
                        if !isBehindPoint { power += 1 }
                        digits.append(byte)
                    }
                default: break
                }
            }
            while digits.last == UInt8(ascii: "0") { digits.removeLast() }
            // A finite number has no greater exponent that is not made good by as many zeros.
            power += parts.count == 2 ? Int(Int32(parts[1]) ?? 0) : 0
            if digits.isEmpty { power = 0 }
        }
    }

    private static func hexBlob(_ word: String) -> [UInt8]? {
        guard word.hasPrefix("x'") || word.hasPrefix("X'"), word.hasSuffix("'"), word.utf8.count >= 3 else {
            return nil
        }
        let digits = Array(word.utf8.dropFirst(2).dropLast())
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = hexDigit(digits[index]), let low = hexDigit(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// `'it''s'`: the text inside, where the quotes are right.
    private static func quoted(_ word: String) -> String? {
        guard word.utf8.count >= 2, word.hasPrefix("'"), word.hasSuffix("'") else { return nil }
        var inside = ""
        var pendingQuote = false
        for character in word.dropFirst().dropLast() {
            if character == "'" {
                pendingQuote.toggle()
                if !pendingQuote { inside.append("'") }
            } else {
                if pendingQuote { return nil }
                inside.append(character)
            }
        }
        return pendingQuote ? nil : inside
    }

    /// Options that have a number.
    private static let numberOptions: Set = [
        "--timeout", "--max-rows", "--port", "-c", "--count", "-i", "--interval", "--connections", "-p", "--pipeline",
        "-t",
        "--duration", "-n", "--warmup", "-j", "--threads", "--seed", "--rows",
    ]

    /// Marks arguments such as `-5` and `-- a comment`, which the argument parser would take for options; the value of
    /// an option is joined to it, and refused if it is invalid.
    static func protectDashes(_ arguments: [String]) -> [String] {
        var isOver = false
        var protected: [String] = []
        for argument in arguments {
            if argument == "--" { isOver = true }
            if isOver || !(isNegative(argument) || isComment(argument)) {
                protected.append(argument)
            } else if let option = protected.last, numberOptions.contains(option) || option == "--sql" {
                protected[protected.count - 1] = "\(option)=\(argument)"
            } else {
                protected.append(String(dashMark) + argument)
            }
        }
        return protected
    }

    private static func isNegative(_ argument: String) -> Bool {
        let second = argument.dropFirst().first
        return argument.first == "-" && second.map { $0.isASCII && ($0.isNumber || $0 == ".") } ?? false
    }

    /// No option has a blank, a line end or a semicolon in its name.
    private static func isComment(_ argument: String) -> Bool {
        guard argument.hasPrefix("--") else { return false }
        let name = argument.dropFirst(2).prefix { $0 != "=" }
        return name.first.map { !$0.isLetter } ?? false || name.contains { $0.isWhitespace || $0 == ";" }
    }
}
