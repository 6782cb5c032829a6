// Inputs of the fuzzers, for the ordinary test run.

internal import Glibc
public import LinuxSystem

/// What a fuzzer was given before, and what it found (FuzzTesting/README.md).
public enum FuzzCorpus {
    /// Every input of `FuzzTesting/{Seeds,Corpus,FailCases}/name`, in a fixed order.
    public static func inputs(_ name: String, source: String = #filePath) throws(Errno) -> [[UInt8]] {
        let root = source.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        var inputs: [[UInt8]] = []
        for kind in ["Seeds", "Corpus", "FailCases"] {
            let folder = "\(root)/FuzzTesting/\(kind)/\(name)"
            guard try Files.status(folder) != nil else { continue }
            for file in try Files.names(in: folder).sorted() where !file.hasPrefix(".") {
                inputs.append(try Files.read("\(folder)/\(file)", byteCountMax: 1 << 20))
            }
        }
        return inputs
    }

    /// Calls `check` with every input, and with each seed cut and changed at every place, or at every `stride`th.
    /// - Returns: how many there were.
    public static func replay(
        _ name: String, seed: UInt64 = 11, stride step: Int = 1, _ check: (UnsafeRawBufferPointer) -> Void
    ) throws(Errno) -> Int {
        let inputs = try inputs(name)
        var random = SeededGenerator(seed: seed)
        for input in inputs {
            input.withUnsafeBytes(check)
            guard input.count < 1_024 else { continue }
            for offset in stride(from: 0, to: input.count, by: step) {
                var changed = input
                changed[offset] = UInt8(truncatingIfNeeded: random.next())
                changed.withUnsafeBytes(check)
                input.withUnsafeBytes { check(UnsafeRawBufferPointer(rebasing: $0[..<offset])) }
            }
        }
        return inputs.count
    }
}
