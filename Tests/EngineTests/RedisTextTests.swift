// What is decided about Redis without a server: words of a command line, kinds of commands, URLs, meanings of errors.

import Testing

@testable import DatabaseContract
@testable import RedisEngine
@testable import RemoteDatabases

@Suite("Redis without a server")
struct RedisTextTests {
    private func words(_ line: String) throws(DriverError) -> [String] {
        var result: [String] = []
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, line.utf8.count), alignment: 1)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: line.utf8)
        var words = RedisArguments(UnsafeRawBufferPointer(rebasing: bytes[..<line.utf8.count]), [])
        while let word = try words.next() { result.append(String(decoding: word, as: UTF8.self)) }
        return result
    }

    @Test(
        arguments: [
            ("", []), (" \t\r\n", []), ("GET k", ["GET", "k"]), ("  a  b ", ["a", "b"]), ("\"\" ''", ["", ""]),
            ("pre\"fix\" x", ["prefix", "x"]), ("\"\\n\\x41\\q\\\"\"", ["\nAq\""]), ("'it\\'s \\n'", ["it's \\n"]),
            ("a\\b", ["a\\b"]), ("\"\\x4\"", ["x4"]), ("ü 'ü'", ["ü", "ü"]),
        ] as [(String, [String])])
    func wordsOfALine(_ line: String, _ wanted: [String]) throws {
        #expect(try words(line) == wanted)
    }

    @Test(arguments: [("a \"b", 2), ("'", 0), ("a 'b'c", 5), ("\"\\", 0), ("a \"b\\\"", 2)])
    func quotesThatDoNotMatch(_ line: String, _ offset: Int) {
        let error = #expect(throws: DriverError.self) { try words(line) }
        #expect(error?.details.place?.offset == offset)
    }

    private func command(_ line: String) throws(DriverError) -> RedisCommand {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, line.utf8.count), alignment: 1)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: line.utf8)
        return try RedisCommand(UnsafeRawBufferPointer(rebasing: bytes[..<line.utf8.count]), [])
    }

    @Test(arguments: [
        ("zrange z 0 -1 WithScores", RedisShape.pairs("member", "score")), ("ZRANGE withscores 0 -1", .values),
        ("config get x", .pairs("name", "value")), ("CONFIG SET a b", .values), ("scan 0", .scan(["key"])),
        ("EXEC", .results), ("GET hgetall", .values),
    ])
    func shapesOfReplies(_ line: String, _ shape: RedisShape) throws {
        #expect(try command(line).shape == shape)
    }

    @Test(arguments: [
        ("CLIENT reply off", true), ("client", false), ("hello 3", true), ("SUBSCRIBE a", true), ("client id", false),
        ("CLIENT " + String(repeating: "x", count: 100), false), ("GET client", false),
    ])
    func commandsOfTheConnectionAreRefused(_ line: String, _ wanted: Bool) throws {
        let isRefused = if case .refused = try command(line).effect { true } else { false }
        #expect(isRefused == wanted)
    }

    @Test(arguments: [
        ("redis://h", "redis://h:6379/0"), ("redis://:p%40@h:1/2", "redis://h:1/2"),
        ("redis://", "redis://localhost:6379/0"),
        ("redis://u:p@[::1]/3", "redis://[::1]:6379/3"), ("unix:///s?db=4", "redis+unix:///s?db=4"),
        ("redis+unix://u:p@/s%20t", "redis+unix:///s t?db=0"), ("valkey://h/?db=5", "redis://h:6379/5"),
        ("redis+sentinel://u:p@a,b:1/my%20name/2?sentinel_password=p", "redis+sentinel://a:26379,b:1/my name/2"),
        ("valkey+sentinel://[::1]/m?db=3", "redis+sentinel://[::1]:26379/m/3"),
        ("redis+cluster://u:p@a,b:7001,[::1]:7002", "redis+cluster://a:6379,b:7001,[::1]:7002"),
        ("valkey+cluster://a/0", "redis+cluster://a:6379"),
    ])
    func labelsHaveNoSecrets(_ url: String, _ label: String) throws {
        #expect(try RedisLocation(url: url).label == label)
        #expect("\(try RedisLocation(url: url))" == label)
    }

    @Test(arguments: [
        "redis+cluster://", "redis+cluster://a,,b", "redis+cluster://a/1", "redis+cluster://a?db=2",
        "redis+cluster://a?cluster=1",
        "redis+cluster://a:0", "redis+cluster://" + Array(repeating: "h", count: 17).joined(separator: ","),
    ])
    func urlsOfNoCluster(_ url: String) {
        let error = #expect(throws: DriverError.self) { try RedisLocation(url: url) }
        #expect(error?.code == .badRequest)
    }

    @Test(arguments: [
        ("WRONGTYPE Operation", DriverError.Code.databaseError, "42804"), ("NOPERM no", .permissionDenied, "42501"),
        ("ERR unknown command 'x', with args beginning with: 'secret' ", .syntaxError, "42601"),
        ("LOADING it", .busy, "55P03"), ("BUSYGROUP x", .constraintViolation, "23505"), ("", .databaseError, "22000"),
        ("MOVED 3999 h:6379", .databaseError, "0A000"), ("MOVED", .databaseError, "22000"),
        ("ERR", .databaseError, "22000"), ("lower case", .databaseError, "22000"), ("MINE x", .databaseError, "P0001"),
    ])
    func meaningsOfErrors(_ text: String, _ code: DriverError.Code, _ sqlState: String) {
        let error = RedisErrors.error(text)
        #expect(error.code == code && error.details.sqlState == sqlState && !RedisErrors.isOfReplica(error))
        #expect(!error.details.message.contains("secret") && !error.details.message.isEmpty)
    }

    @Test func aReplicaIsKnownByItsWords() {
        for text in [
            "READONLY You can't write against a read only replica.",
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        ] {
            let error = RedisErrors.error(text)
            #expect(RedisErrors.isOfReplica(error))
            let told = error.ofLostRole(isSession: false)
            #expect(told.code == .connectFailed && told.details.isRetryable && told.details.sqlState == "25006")
            #expect(!error.ofLostRole(isSession: true).details.isRetryable)
            #expect(!error.ofLostRole(isSession: false, isDivisible: true).details.isRetryable)
        }
        #expect(!RedisErrors.isOfReplica(RedisErrors.error("UNBLOCKED client unblocked via CLIENT UNBLOCK")))
    }

    @Test func aRedirectionNamesTheServer() {
        let error = RedisErrors.error("ASK 12182 10.0.0.2:6379")
        #expect(error.details.message.contains("slot 12182") && error.details.message.contains("10.0.0.2:6379"))
        #expect(error.details.detail == "Redis: ASK")
    }
}
