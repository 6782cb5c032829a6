// Random values from a seed that a failing test prints.

import WireProtocol

/// SplitMix64. Source: https://prng.di.unimi.it/splitmix64.c
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    /// An integer whose magnitude is small as often as it is large.
    mutating func integer() -> Int64 {
        Int64(truncatingIfNeeded: next()) >> Int64.random(in: 0...63, using: &self)
    }

    /// Any double, bit pattern by bit pattern; finite on request.
    mutating func double(finite: Bool = false) -> Double {
        while true {
            let value: Double
            switch UInt8.random(in: 0...3, using: &self) {
            case 0: value = Double(integer())
            case 1: value = Double(integer()) / 1000
            default: value = Double(bitPattern: next())
            }
            if value.isFinite || !finite { return value }
        }
    }

    /// UTF-8 text of all lengths of characters, control characters and NUL included.
    mutating func text(characterCountMax: Int = 40) -> [UInt8] {
        var scalars = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...characterCountMax, using: &self) {
            let maximum: UInt32 = [0x1f, 0x7f, 0x7f, 0x7ff, 0xffff, 0x10_ffff].randomElement(using: &self) ?? 0x7f
            if let scalar = Unicode.Scalar(UInt32.random(in: 0...maximum, using: &self)) { scalars.append(scalar) }
        }
        return Array(String(scalars).utf8)
    }

    mutating func bytes(countMax: Int = 60) -> [UInt8] {
        let count = Int.random(in: 0...countMax, using: &self)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    /// A tree of values as requests and replies may hold them.
    mutating func value(depthMax: Int) -> Value {
        switch UInt8.random(in: 0...(depthMax > 0 ? 11 : 8), using: &self) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &self))
        case 2, 3: return .integer(integer())
        case 4: return .unsigned(UInt64.random(in: (UInt64(Int64.max) + 1)...UInt64.max, using: &self))
        case 5: return .double(double())
        case 6, 7: return .text(text())
        case 8: return .binary(bytes())
        case 9, 10:
            let count = Int.random(in: 0...20, using: &self)
            return .array((0..<count).map { _ in value(depthMax: depthMax - 1) })
        default: return map(depthMax: depthMax - 1)
        }
    }

    mutating func map(depthMax: Int) -> Value {
        var keys: Set<[UInt8]> = []
        var pairs: [Value.Pair] = []
        for _ in 0..<Int.random(in: 0...20, using: &self) {
            let key = text(characterCountMax: 8)
            if keys.insert(key).inserted { pairs.append(.init(key: key, value: value(depthMax: depthMax))) }
        }
        return .map(pairs)
    }
}
