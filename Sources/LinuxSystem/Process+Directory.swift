// The working directory.

internal import Glibc

extension Process {
    /// Working directory; `/` if it was removed (getcwd(3)).
    public static var workingDirectory: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            guard let base = buffer.baseAddress, let path = getcwd(base, buffer.count) else { return "/" }
            return String(cString: path)
        }
    }
}
