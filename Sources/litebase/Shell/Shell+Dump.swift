// `.dump`: the database, or tables of it, as statements, to where results go.

internal import ByteBuffers
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

extension Shell {
    func dump(_ argument: String) throws {
        let engine = try connection.session().information.engine
        guard CopyDialect(rawValue: engine) != nil else { throw noTables(".dump", engine) }
        if connection.transaction != .none {
            throw UsageError("a transaction is open, and .dump writes what is committed; COMMIT or ROLLBACK first")
        }
        let names = DumpArguments.names(argument)
        // PostgreSQL's names may have a schema in front, and are read with their quotes.
        let relations = engine == "postgresql" ? names : names.map { ObjectName.spellings(of: $0)[0] }
        if let file = outputFile {
            try writingOutput { try writeDump(relations, to: file.descriptor) }
        } else if isInteractive {
            try showDump(relations)
        } else {
            try output.flush()
            try writeDump(relations, to: STDOUT_FILENO)
        }
    }

    /// Writes it in a session of its own: it begins a transaction, and changes settings. That of SQLite does not, and a database in memory
    /// is its session's.
    private func writeDump(_ relations: [String], to descriptor: Int32) throws {
        let timeout = settings.limits.timeout
        let present = try connection.session()
        guard present.information.engine == "sqlite" else {
            let session = try connection.reachableClient().openSession(connection.options)
            return try DatabaseDump.write(session, only: relations, to: descriptor, timeout: timeout)
        }
        do {
            try DatabaseDump.write(present, only: relations, to: descriptor, timeout: timeout)
        } catch {
            // If the connection is lost, the first error is the one to report.
            _ = try? present.execute("ROLLBACK")
            throw error
        }
    }

    /// Shows it by the pager, as a text that cannot control the terminal. It lies in a file meanwhile, since the daemon writes its rows.
    private func showDump(_ relations: [String]) throws {
        let file: OwnedDescriptor
        do throws(Errno) {
            file = try ChildProcess.temporaryFile()
        } catch {
            throw InputError(message: "no temporary file can be made: \(error)", status: ExitStatus.ioError)
        }
        do {
            try writeDump(relations, to: file.number)
        } catch let error as OutputError {
            throw InputError(message: "a temporary file cannot be written: \(error.errno)", status: ExitStatus.ioError)
        }
        lseek(file.number, 0, SEEK_SET)
        let number = file.number
        try withScreen {
            var text = DumpText()
            while let part = text.next(of: number) {
                output.buffer.append(TerminalEscaping.visibleLines(part))
                try output.flushIfLarge()
            }
        }
    }
}

/// The arguments of `.dump`.
enum DumpArguments {
    private static let ends: [Character: Character] = ["\"": "\"", "`": "`", "[": "]", "'": "'"]

    /// Names with spaces between, each with its quotes, in which spaces may be.
    static func names(_ argument: String) -> [String] {
        var (names, name, end): ([String], String, Character?) = ([], "", nil)
        for character in argument {
            if end == nil, character.isWhitespace {
                if !name.isEmpty { names.append(name) }
                name = ""
                continue
            }
            name.append(character)
            if let open = end {
                if character == open { end = nil }
            } else {
                end = ends[character]
            }
        }
        return name.isEmpty ? names : names + [name]
    }
}

/// A file as texts that end where a line does, so that no character is cut; a line that is very long is cut between characters.
private struct DumpText {
    private static let byteCount = 1 << 16
    private var rest: [UInt8] = []

    /// - Parameter number: of the file, which is read from where it stands.
    /// - Returns: `nil` at its end.
    mutating func next(of number: Int32) -> String? {
        let chunk = [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
            count = max(0, Glibc.read(number, buffer.baseAddress, buffer.count))
        }
        let bytes = rest + chunk
        guard !bytes.isEmpty else { return nil }
        let end = chunk.isEmpty ? bytes.count : Self.end(of: bytes)
        rest = Array(bytes[end...])
        return String(decoding: bytes[..<end], as: UTF8.self)
    }

    private static func end(of bytes: [UInt8]) -> Int {
        if let line = bytes.lastIndex(of: UInt8(ascii: "\n")) { return line + 1 }
        // In front of the last byte that begins a character.
        let start = bytes.lastIndex { $0 & 0xc0 != 0x80 } ?? 0
        return start > 0 ? start : bytes.count
    }
}
