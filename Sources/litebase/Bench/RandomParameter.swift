// `--param`: the value of a placeholder, new for each request.

internal import ByteBuffers
internal import WireProtocol

/// Where the value of one placeholder comes from. All values of one parameter have the same encoded length.
enum RandomParameter: Sendable, Equatable {
    case integer(ClosedRange<Int64>)
    case real(ClosedRange<Double>)
    /// That many letters and digits.
    case text(byteCount: Int)
    case blob(byteCount: Int)
    /// Counts up from here; no two requests of a run get the same.
    case serial(from: Int64)

    static let byteCountMax = 1 << 20

    /// Reads `int:LOW..HIGH`, `real:LOW..HIGH`, `text:LENGTH`, `blob:LENGTH` or `serial:START`.
    init(_ word: String) throws(UsageError) {
        let parts = word.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let parameter = Self.make(String(parts[0]), String(parts[1])) else {
            throw UsageError(
                "cannot read the parameter '\(word)'; write int:1..1000, real:0..1, text:16, blob:16 or serial:1")
        }
        self = parameter
    }

    private static func make(_ kind: String, _ value: String) -> RandomParameter? {
        switch kind {
        case "int": range(value, Int64.init).map(integer)
        case "real": range(value) { Double($0).flatMap { $0.isFinite ? $0 : nil } }.map(real)
        case "text": length(value).map { .text(byteCount: $0) }
        case "blob": length(value).map { .blob(byteCount: $0) }
        case "serial": Int64(value).map { .serial(from: $0) }
        default: nil
        }
    }

    /// Two numbers with two points between; the first point of more belongs to the lower one (`1...2` is wrong).
    private static func range<Bound: Comparable>(_ text: String, _ parse: (String) -> Bound?) -> ClosedRange<Bound>? {
        let bounds = text.split(separator: "..", omittingEmptySubsequences: false).map(String.init)
        guard bounds.count == 2, let low = parse(bounds[0]), let high = parse(bounds[1]), low <= high else {
            return nil
        }
        return low...high
    }

    private static func length(_ text: String) -> Int? {
        guard let count = Int(text), (0...byteCountMax).contains(count) else { return nil }
        return count
    }

    /// Appends a place for the value: its header, and as many bytes as every value has.
    ///
    /// Integers take nine bytes whatever they are, which the protocol allows.
    func appendPlace(into output: inout ByteBuffer) {
        switch self {
        case .integer, .serial: output.append(tag: 0xd3, bigEndian: Int64(0))
        case .real: output.appendMessagePackReal(0)
        case .text(let byteCount):
            let letters = [UInt8](repeating: UInt8(ascii: "a"), count: byteCount)
            letters.withUnsafeBytes { output.appendMessagePackText($0) }
        case .blob(let byteCount):
            let zeros = [UInt8](repeating: 0, count: byteCount)
            zeros.withUnsafeBytes { output.appendMessagePackBinary($0) }
        }
    }

    /// Bytes of the value at the end of its place, without a header.
    var valueByteCount: Int {
        switch self {
        case .integer, .serial, .real: 8
        case .text(let byteCount), .blob(let byteCount): byteCount
        }
    }
}

/// The values of one thread's requests.
struct ParameterSource {
    private var random: LoadRandom
    /// The next `serial` of this thread, and how far it is from one to the next.
    private var serial: Int64
    private let serialStep: Int64

    init(seed: UInt64, threadIndex: Int, threadCount: Int) {
        random = LoadRandom(seed: seed &+ UInt64(threadIndex) &* 0x2545_f491_4f6c_dd1d)
        serial = Int64(threadIndex)
        serialStep = Int64(threadCount)
    }

    /// To be called once a request.
    mutating func advance() { serial &+= serialStep }

    /// Writes a value into its place in `bytes`.
    @inline(__always)
    mutating func fill(_ bytes: UnsafeMutableRawBufferPointer, at offset: Int, with parameter: RandomParameter) {
        switch parameter {
        case .integer(let range):
            let span = UInt64(bitPattern: range.upperBound &- range.lowerBound)
            store(UInt64(bitPattern: range.lowerBound) &+ random.upTo(span), bytes, offset)
        case .serial(let first):
            store(UInt64(bitPattern: first &+ serial), bytes, offset)
        case .real(let range):
            let unit = Double(random.next() >> 11) * 0x1p-53
            store((range.lowerBound + unit * (range.upperBound - range.lowerBound)).bitPattern, bytes, offset)
        case .text(let byteCount): fillText(bytes, offset, byteCount)
        case .blob(let byteCount):
            for index in 0..<byteCount { bytes[offset + index] = UInt8(truncatingIfNeeded: random.next() >> 32) }
        }
    }

    private func store(_ value: UInt64, _ bytes: UnsafeMutableRawBufferPointer, _ offset: Int) {
        bytes.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }

    /// Eight characters of five bits from each random number.
    private mutating func fillText(_ bytes: UnsafeMutableRawBufferPointer, _ offset: Int, _ byteCount: Int) {
        var bits: UInt64 = 0
        for index in 0..<byteCount {
            bits = index & 7 == 0 ? random.next() : bits >> 5
            let value = UInt8(truncatingIfNeeded: bits & 31)
            bytes[offset + index] = value < 26 ? value &+ UInt8(ascii: "a") : value &- 26 &+ UInt8(ascii: "2")
        }
    }
}
