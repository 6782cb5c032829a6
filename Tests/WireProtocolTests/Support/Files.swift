// Files of the repository that tests read.

import Glibc

/// The repository's top folder, from where this file was compiled.
let repositoryRoot = String(
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/"))

struct FileError: Error, CustomStringConvertible {
    let path: String
    let number: Int32

    var description: String { "\(path): errno \(number)" }
}

func readFile(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "rb") else { throw FileError(path: path, number: errno) }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&block, 1, block.count, file)
        if count == 0 { return bytes }
        bytes += block[..<count]
    }
}

func writeFile(_ path: String, _ bytes: [UInt8]) throws {
    guard let file = fopen(path, "wb") else { throw FileError(path: path, number: errno) }
    defer { fclose(file) }
    guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw FileError(path: path, number: errno) }
}

/// The paths of a folder's files, sorted, without hidden ones.
func filesInFolder(_ path: String) throws -> [String] {
    guard let folder = opendir(path) else { throw FileError(path: path, number: errno) }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if !name.hasPrefix(".") { names.append("\(path)/\(name)") }
    }
    return names.sorted()
}
