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
    /// Columns of the line that is not complete.
    private var columnCount = 0
    private var isInEscape = false
    /// Whether a line is wider than the screen.
    private var isWide = false
    /// Whether it shows such lines, too; else they are the terminal's.
    private let takesWide: Bool
    private var process: FilterProcess?
    private var hasFailed = false

    /// `nil` where there is none: `$PAGER` is empty, or not set and there is no less(1).
    init?(_ size: (width: Int, height: Int), takesWide: Bool = false) {
        self.takesWide = takesWide
        // Empty is not the same as not set.
        let wanted = getenv("PAGER").map { String(cString: $0) }
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
        guard lineCount >= size.height - 1 || held.count > Self.heldByteCountMax || (takesWide && isWide) else {
            return
        }
        do throws(Errno) {
            process = try FilterProcess(command, environment: [("LESS", takesWide ? "RSX" : "FRSX")])
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
        (lineCount, columnCount, isWide) = (0, 0, false)
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

    /// Counts lines and columns. It need not be exact: a wide character counts as one column.
    private func count(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\n"):
                lineCount += 1
                (columnCount, isInEscape) = (0, false)
            case 0x1b: isInEscape = true
            // The end of a colour.
            case UInt8(ascii: "m") where isInEscape: isInEscape = false
            case _ where isInEscape || byte & 0xc0 == 0x80: break
            default:
                columnCount += 1
                if columnCount > size.width { isWide = true }
            }
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
