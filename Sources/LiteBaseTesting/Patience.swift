// How much slower than usual the programs under test are.

internal import Glibc

/// The factor for times that tests wait, or allow.
public enum Patience {
    /// 1, or what `LITEBASE_TEST_PATIENCE` has: programs with a sanitizer are some ten times slower (scripts/sanitize.sh).
    public static let factor: Int = getenv("LITEBASE_TEST_PATIENCE").flatMap { Int(String(cString: $0)) } ?? 1
}
