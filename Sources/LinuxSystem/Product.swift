// The version, in one place for all programs.

/// Facts about this build.
public enum Product {
    /// Version of the package (CHANGELOG.md).
    public static let version = "0.2.0"
}
