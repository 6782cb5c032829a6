// Inputs of the fuzzers, for the ordinary test run.

public import LinuxSystem

/// Earlier inputs of a fuzzer, and what it found (FuzzTesting/README.md).
public enum FuzzCorpus {
    /// Every input of `FuzzTesting/kind/name`, in a fixed order; none when there is no such folder.
    private static func inputs(_ kind: String, _ name: String, _ source: String) throws(Errno) -> [[UInt8]] {
        let root = source.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let folder = "\(root)/FuzzTesting/\(kind)/\(name)"
        guard try Files.status(folder) != nil else { return [] }
        var inputs: [[UInt8]] = []
        for file in try Files.names(in: folder).sorted() where !file.hasPrefix(".") {
            inputs.append(try Files.read("\(folder)/\(file)", byteCountMax: 1 << 20))
        }
        return inputs
    }

    /// Calls `check` with every input, and with each seed cut and changed at every `step`th place.
    /// - Returns: how many seeds there were.
    public static func replay(
        _ name: String, stride step: Int = 1, source: String = #filePath, _ check: (UnsafeRawBufferPointer) -> Void
    ) throws(Errno) -> Int {
        for kind in ["Corpus", "FailCases"] {
            for input in try inputs(kind, name, source) { input.withUnsafeBytes(check) }
        }
        let seeds = try inputs("Seeds", name, source)
        var random = SeededGenerator(seed: 11)
        for seed in seeds {
            seed.withUnsafeBytes(check)
            for offset in stride(from: 0, to: seed.count, by: step) {
                var changed = seed
                changed[offset] = UInt8(truncatingIfNeeded: random.next())
                changed.withUnsafeBytes(check)
                seed.withUnsafeBytes { check(UnsafeRawBufferPointer(rebasing: $0[..<offset])) }
            }
        }
        return seeds.count
    }
}
