// What must hold for any command line of Redis, for the first words of any statement, and for any error message of a server.
// EngineTests replays the corpus with this, too.

import SQLText

@testable import DatabaseContract
@testable import MySQLEngine
@testable import PostgreSQLEngine
@testable import RedisEngine

/// Traps when something does not hold that must.
enum CommandChecks {
    static func check(_ bytes: UnsafeRawBufferPointer) {
        checkCommand(bytes)
        checkKinds(bytes)
        checkPlaces(bytes)
    }

    /// The words of a command line, written with escapes only, are the same words.
    private static func checkCommand(_ line: UnsafeRawBufferPointer) {
        let words: [[UInt8]]
        do throws(DriverError) {
            words = try self.words(line)
        } catch {
            precondition(error.code == .syntaxError, "a line is refused for its quotes alone")
            let offset = error.details.place?.offset
            precondition(offset.map { (0...line.count).contains($0) } == true, "a quote has its place")
            return
        }
        precondition(words.allSatisfy { $0.count <= line.count }, "a word is a part of its line")
        let command = try? RedisCommand(line, [])
        precondition((command == nil) == words.isEmpty, "what has words is a command")
        precondition(command.map { $0.argumentCount == words.count } ?? true, "a command counts its words")

        let escaped = words.map { "\"" + $0.map { "\\x" + hexadecimal($0) }.joined() + "\"" }.joined(separator: " \t")
        let again = Array(escaped.utf8).withUnsafeBytes { try? self.words($0) }
        precondition(again == words, "words survive being escaped")
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
    }

    private static func words(_ line: UnsafeRawBufferPointer) throws(DriverError) -> [[UInt8]] {
        var arguments = RedisArguments(line, [])
        var words: [[UInt8]] = []
        while let word = try arguments.next() { words.append(Array(word)) }
        return words
    }

    /// A comment in front changes nothing.
    private static func checkKinds(_ sql: UnsafeRawBufferPointer) {
        (Array("/* a comment */ ".utf8) + sql).withUnsafeBytes { commented in
            precondition(PostgreSQLStatementKind(commented) == PostgreSQLStatementKind(sql), "a comment is no word")
            precondition(MySQLStatementKind(commented) == MySQLStatementKind(sql), "a comment is no word for MySQL")
        }
    }

    /// Before the first NUL a statement, behind it what the server says of it.
    private static func checkPlaces(_ bytes: UnsafeRawBufferPointer) {
        let end = bytes.firstIndex(of: 0) ?? bytes.count
        let sql = UnsafeRawBufferPointer(rebasing: bytes[..<end])
        let message = String(decoding: bytes[end...].dropFirst(), as: UTF8.self)
        if let offset = MySQLErrors.offset(in: sql, message) {
            precondition((0...sql.count).contains(offset), "an error of MySQL is within its statement")
        }
        for character in [Int.min, -1, 0, 1, sql.count / 2, sql.count, sql.count + 1, sql.count + 2, .max] {
            guard let offset = PostgreSQLErrors.byteOffset(ofCharacter: character, in: sql) else { continue }
            precondition((0...sql.count).contains(offset), "an error of PostgreSQL is within its statement")
        }
    }
}
