import LinuxSystem
import Testing

@testable import LiteBaseClient

@Suite struct EndpointTests {
    private static let environment = ["LITEBASE_SOCKET": "/env.sock", "XDG_RUNTIME_DIR": "/run/user/7"]

    @Test(arguments: [
        (
            path: "/given.sock" as String?, variables: ["LITEBASE_SOCKET", "XDG_RUNTIME_DIR"], existing: [String](),
            found: "/given.sock" as String?
        ),
        (nil, ["LITEBASE_SOCKET", "XDG_RUNTIME_DIR"], [], "/env.sock"),
        (
            nil, ["XDG_RUNTIME_DIR"],
            ["/run/user/7/litebase/litebase.sock", "/home/u/.local/state/litebase/litebase.sock"],
            "/run/user/7/litebase/litebase.sock"
        ),
        (
            nil, ["XDG_RUNTIME_DIR"], ["/run/litebase/litebase.sock", "/tmp/litebase.sock"],
            "/run/litebase/litebase.sock"
        ),
        (
            nil, [], ["/home/u/.local/state/litebase/litebase.sock", "/run/litebase/litebase.sock"],
            "/home/u/.local/state/litebase/litebase.sock"
        ),
        // Anybody may put a socket there.
        (nil, ["XDG_RUNTIME_DIR"], ["/tmp/litebase.sock"], nil),
        (nil, ["XDG_RUNTIME_DIR"], [], nil),
    ])
    func discoveryFollowsItsOrder(path: String?, variables: [String], existing: [String], found: String?) throws {
        let discover = { () throws(ClientError) -> Endpoint in
            try Endpoint.discover(
                path: path, environment: { variables.contains($0) ? Self.environment[$0] : nil }, home: "/home/u",
                socketExists: { existing.contains($0) })
        }
        if let found {
            #expect(try discover() == .unix(path: found))
        } else {
            let error = try #require(throws: ClientError.self, performing: { try discover() })
            for place in [
                "/run/user/7/litebase/litebase.sock", "/home/u/.local/state/litebase/litebase.sock",
                "/run/litebase/litebase.sock",
            ] {
                #expect(error.description.contains(place))
            }
            #expect(error.description.contains("/tmp/litebase.sock, has to be named"))
            #expect(error.description.contains("systemctl start litebase.socket"))
        }
    }

    @Test func aMissingSocketSaysHowToStartTheDaemon() throws {
        let error = try #require(throws: ClientError.self) {
            try BlockingClient.connect(path: "/nonexistent/litebase.sock")
        }
        guard case .cannotConnect(.unix("/nonexistent/litebase.sock"), .noSuchFile) = error else {
            Issue.record("another error: \(error)")
            return
        }
        #expect(error.description.contains("litebased"))
    }

    @Test func tooLongAPathIsAnError() throws {
        let path = "/" + String(repeating: "x", count: 200)
        #expect(throws: ClientError.self) { try BlockingClient.connect(path: path) }
    }
}

@Suite struct ValueTests {
    @Test func literals() {
        let values: [Value] = [nil, true, 1, 1.5, "x"]
        #expect(values == [.null, .bool(true), .integer(1), .real(1.5), .text("x")])
        #expect(Value(UInt64.max) == .unsigned(.max))
        #expect(Value(UInt64(Int64.max)) == .integer(.max))
        #expect(Value(UInt8(3)) == .integer(3))
    }

    @Test func conversions() {
        #expect(Value.bool(true).integer == 1)
        #expect(Value.integer(2).real == 2)
        #expect(Value.real(2).integer == nil)
        #expect(Value.text("1").integer == nil)
        #expect(Value.blob([1]).blob == [1])
        #expect(Value.blob([0x0a, 0xff]).description == "x'0aff'")
    }

    /// Both ways of finding a column: a scan and a table.
    @Test(arguments: [3, 20])
    func columnsAreFoundByTheirFirstName(count: Int) {
        let names = (0..<count).map { "c\($0)" } + ["c1"]
        let columns = Columns(names.map { Column(name: $0) })
        #expect(columns.firstIndex(of: "c1") == 1)
        #expect(columns.firstIndex(of: "none") == nil)
    }

    @Test func rowsWithoutColumnsAreCounted() {
        let batch = RowBatch(columns: Columns([]), rows: [[], [], []])
        #expect(batch.count == 3)
        #expect(batch[2].isEmpty)
    }
}
