// Statements that insert one row each, as the daemon writes them, made into ones that insert many: MySQL takes those many times as fast.

internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// Reads statements from a pipe, and writes them into a file with as many rows in each as fit into `byteCountMax`.
///
/// Each statement has to be one line, as MySQL's are, whose texts have no line ends.
/// - Thread: `finish` from any, once; it reads on a thread of its own.
final class InsertionMerge: Sendable {
    /// Where a statement is long enough, in bytes. A server takes 16 MiB by itself (`max_allowed_packet`), an old one 1 MiB.
    static let byteCountMax = 256 << 10

    private enum Trouble {
        case output(Errno)
        /// It is not the statement that was expected.
        case statement
    }

    private let trouble = Mutex<Trouble?>(nil)
    private let end = Semaphore()

    private init() {}

    /// - Parameters:
    ///   - start: what each statement begins with, up to the parenthesis in front of the values.
    ///   - target: the file.
    /// - Returns: the merge, and the end of the pipe that is to be written, which the caller closes in front of `finish`.
    /// - Throws: if no pipe or no thread can be made.
    static func begin(_ start: String, to target: Int32) throws(Errno) -> (merge: InsertionMerge, writer: Int32) {
        let ends = try PipeCopy.makePipe()
        let merge = InsertionMerge()
        let start = Array(start.utf8)
        try Thread.start(name: "litebase-merge", stackByteCount: 256 << 10) { merge.run(ends.reader, start, target) }
        return (merge, ends.writer)
    }

    /// Waits until everything is written: until all writing ends of the pipe are closed.
    func finish() throws {
        while !end.wait(milliseconds: 60_000) {}
        switch trouble.withLock({ $0 }) {
        case .output(let errno): throw OutputError(errno: errno)
        case .statement:
            throw InputError(message: "the daemon writes other statements than expected", status: ExitStatus.software)
        case nil: break
        }
    }

    private func run(_ reader: Int32, _ start: [UInt8], _ target: Int32) {
        var rows = MergedRows(start)
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while trouble.withLock({ $0 == nil }) {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(reader, $0.baseAddress, $0.count) }
            if count < 0, Errno.current == .interrupted { continue }
            if count <= 0 { break }
            if !rows.take(chunk[..<count]) { trouble.withLock { $0 = .statement } }
            write(&rows.output, to: target)
        }
        rows.end()
        write(&rows.output, to: target)
        // Whoever still writes learns that nobody reads.
        _ = Glibc.close(reader)
        end.post()
    }

    private func write(_ bytes: inout [UInt8], to target: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty, trouble.withLock({ $0 == nil }) {
            let count = rest.withUnsafeBytes { Glibc.write(target, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if Errno.current != .interrupted {
                let errno = Errno.current
                trouble.withLock { $0 = .output(errno) }
            }
        }
        bytes.removeAll(keepingCapacity: true)
    }
}

/// Lines `start…);` made into statements of many rows; it holds a row, and what was not taken of `output`.
private struct MergedRows {
    private let start: [UInt8]
    private static let tail = Array(");\n".utf8)
    /// A line that is not complete.
    private var rest: [UInt8] = []
    /// How many bytes of rows the open statement has; 0 if none is open.
    private var byteCount = 0
    var output: [UInt8] = []

    init(_ start: [UInt8]) { self.start = start }

    /// - Returns: false if a line is no such statement; nothing more is to be given then.
    mutating func take(_ chunk: ArraySlice<UInt8>) -> Bool {
        var chunk = chunk
        while let place = Self.lineEnd(chunk) {
            rest += chunk[chunk.startIndex...place]
            chunk = chunk[(place + 1)...]
            guard takeLine() else { return false }
        }
        rest += chunk
        return true
    }

    private static func lineEnd(_ bytes: ArraySlice<UInt8>) -> Int? {
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress, let found = memchr(base, 10, buffer.count) else { return nil }
            return bytes.startIndex + (UnsafeRawPointer(found) - base)
        }
    }

    private mutating func takeLine() -> Bool {
        defer { rest.removeAll(keepingCapacity: rest.count < InsertionMerge.byteCountMax) }
        guard rest.count >= start.count + Self.tail.count, rest.starts(with: start),
            rest.suffix(Self.tail.count).elementsEqual(Self.tail)
        else { return false }
        // With its parentheses, of which one is in front of the values, and one behind.
        let row = rest[(start.count - 1)..<(rest.count - 2)]
        output += byteCount == 0 ? start.dropLast() : [UInt8(ascii: ","), 10]
        output += row
        byteCount += row.count
        if byteCount >= InsertionMerge.byteCountMax { end() }
        return true
    }

    /// Ends the statement that is open.
    mutating func end() {
        if byteCount > 0 { output += [UInt8(ascii: ";"), 10] }
        byteCount = 0
    }
}
