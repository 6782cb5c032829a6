// Files of the repository that the tests compare with the code.

import LinuxSystem
import Testing

enum Repository {
    /// Text of a file, by its path from the root.
    static func text(_ path: String, source: String = #filePath) throws -> String {
        let root = source.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        return String(decoding: try Files.read("\(root)/\(path)", byteCountMax: 1 << 20), as: UTF8.self)
    }
}
