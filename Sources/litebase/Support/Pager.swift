// Results that are longer or wider than the screen go through a pager, as they come.

internal import ByteBuffers
internal import Glibc
internal import LinuxSystem

/// One result on a screen: what fits is written as it is; the pager gets what does not.
///
/// Of the result at most a screenful is kept here; the pager has what it has read, and rows come from the database as fast as it
/// reads. `less` without other wishes (`$LESS`) shows colours, does not wrap lines, and leaves what was shown on the screen.
final class Pager: OutputDestination {
    private static let heldByteCountMax = 65536
    private let command: String
    private let size: (width: Int, height: Int)
    private var held = ByteBuffer()
    private var lineCount = 0
    /// Bytes of the line that is not complete.
    private var lineByteCount = 0
    private var process: FilterProcess?
    private var hasFailed = false

    /// `nil` where there is none: `$PAGER` is empty, or not set and there is no less(1).
    init?(_ size: (width: Int, height: Int)) {
        let wanted = Process.environment("PAGER")
        guard let command = wanted ?? (Programs.areFound("less") ? "less" : nil),
            !command.allSatisfy(\.isWhitespace)
        else { return nil }
        self.command = command
        self.size = size
    }

    /// Whether the screen is the pager's.
    var isRunning: Bool { process != nil }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        if let process { return try process.write(bytes) }
        held.append(bytes)
        if hasFailed { return try writeDirectly() }
        count(bytes)
        // The prompt needs a line, too.
        guard lineCount >= size.height - 1 || held.count > Self.heldByteCountMax else { return }
        do throws(Errno) {
            process = try FilterProcess(command, environment: [("LESS", "FRSX")])
        } catch {
            hasFailed = true
            return try writeDirectly()
        }
        defer { held.removeAll() }
        try process?.write(held.readable)
    }

    /// Waits until the pager is left.
    func endResult() throws {
        if let process {
            process.finish()
            self.process = nil
        } else {
            try writeDirectly()
        }
        (lineCount, lineByteCount) = (0, 0)
    }

    private func writeDirectly() throws {
        defer { held.removeAll() }
        do throws(Errno) {
            var rest = held.readable
            while !rest.isEmpty {
                let count = Glibc.write(STDOUT_FILENO, rest.baseAddress, rest.count)
                if count < 0, Errno.current != .interrupted { throw Errno.current }
                rest = UnsafeRawBufferPointer(rebasing: rest[max(0, count)...])
            }
        } catch {
            throw OutputError(errno: error)
        }
    }

    /// Counts lines of the screen; one that is longer takes several. Bytes stand for columns: it need not be exact.
    private func count(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes {
            lineByteCount += 1
            guard byte == UInt8(ascii: "\n") else { continue }
            lineCount += 1
            lineByteCount = 0
        }
    }
}

/// Programs by their names.
enum Programs {
    /// Whether `$PATH` leads to one of that name.
    static func areFound(_ name: String) -> Bool {
        (Process.environment("PATH") ?? "/usr/bin:/bin").split(separator: ":" as Character)
            .contains { access("\($0)/\(name)", X_OK) == 0 }
    }
}
