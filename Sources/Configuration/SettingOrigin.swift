// Where a value of the configuration comes from.

/// Who has set a value.
public enum SettingOrigin: Equatable, Sendable, CustomStringConvertible {
    /// A file, at a line that is counted from 1.
    case file(String, line: Int)
    /// A flag, without dashes.
    case flag(String)
    /// Nobody.
    case builtIn

    /// `/etc/litebase/litebase.toml:12`, `--database`, or `default`.
    public var description: String {
        switch self {
        case .file(let path, let line): "\(path):\(line)"
        case .flag(let name): "--\(name)"
        case .builtIn: "default"
        }
    }
}
