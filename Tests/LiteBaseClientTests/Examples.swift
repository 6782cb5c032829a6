// The examples of docs/client-swift.md, compiled; ExamplesTests.swift compares them with the document.
// What stands between two marks with the same name in brackets is in the document word for word.

import LiteBaseClient

enum Examples {
    static func async() async throws {
        // [async]
        let client = try await Client.connect()

        try await client.execute("CREATE TABLE IF NOT EXISTS city (name TEXT, people INTEGER)")
        try await client.execute("INSERT INTO city VALUES (?, ?)", ["Oslo", 717_710])

        // A whole result, for small ones.
        let result = try await client.query("SELECT count(*) AS n FROM city")
        print(result.rows[0]["n"]?.integer ?? 0)

        // Row by row, for any size. The server waits while the loop is busy.
        for try await row in try await client.stream("SELECT * FROM city WHERE people > :n", ["n": 500_000]) {
            print(row[0].text ?? "-", row["people"] ?? .null)
        }
        // [async]
    }

    static func pipelining(_ client: Client, names: [String]) async throws {
        // [pipelining]
        let people = try await withThrowingTaskGroup(of: Int64.self) { group in
            for name in names {
                group.addTask {
                    let result = try await client.query("SELECT people FROM city WHERE name = ?", [.text(name)])
                    return result.rows.first?[0].integer ?? 0
                }
            }
            return try await group.reduce(0, +)
        }
        // [pipelining]
        print(people)
    }

    static func results(_ client: Client) async throws {
        // [results]
        let results = try await client.streamResults("CALL monthly_report(?)", [2026])
        for try await rows in results {
            print(rows.columns.names.joined(separator: ", "))
            for try await row in rows { print(Array(row)) }
        }
        print(results.summary?.rowsAffected ?? 0)
        // [results]
    }

    static func changes(_ client: Client) async throws {
        // [changes]
        let changes = try await client.changes()
        try await client.execute("UPDATE city SET people = people + 1")
        for try await change in changes {
            print(change.resyncReason ?? change.relations.joined(separator: ", "))
            break
        }
        // [changes]
    }

    static func cancelling(_ client: Client) async throws {
        // [cancelling]
        let task = Task {
            try await client.query("SELECT count(*) FROM city a, city b, city c")
        }
        task.cancel()
        do {
            print(try await task.value.rows)
        } catch is CancellationError {
            print("cancelled")
        }
        // [cancelling]
    }

    static func transactions(_ client: Client) async throws {
        // [transactions]
        let session = try await client.openSession()
        let moved = try await session.transaction(.immediate) { session in
            try await session.execute("UPDATE city SET people = people - 1 WHERE name = 'Oslo'")
            return try await session.execute("UPDATE city SET people = people + 1 WHERE name = 'Bergen'").rowsAffected
        }
        try await session.close()
        // [transactions]
        print(moved)
    }

    static func batch(_ client: Client) async throws {
        // [batch]
        let results = try await client.batch([
            BatchStatement("DELETE FROM city WHERE people IS NULL"),
            BatchStatement("INSERT INTO city VALUES (?, ?)", rows: [["Bergen", 291_940], ["Tromsø", 78_745]]),
        ])
        // [batch]
        print(results)
    }

    static func errors(_ client: Client) async throws {
        // [errors]
        do {
            try await client.execute("INSERT INTO nowhere VALUES (1)")
        } catch let error as ClientError {
            if let server = error.serverError {
                print(server.code, server.sqlState ?? "", server.message, server.hint ?? "")
            } else {
                print(error)
            }
        }
        // [errors]
    }

    static func notices() async throws {
        // [notices]
        let client = try await Client.connect()
        try client.introduce(as: "billing")
        let notices = try client.notices()
        Task {
            for await notice in notices { print(notice.severity ?? "NOTICE", notice.message) }
        }
        // [notices]
    }

    static func sharedMemory() throws {
        // [shared-memory]
        let client = try BlockingClient.connect(transport: .sharedMemory)
        for number in 1...1000 {
            try client.execute("INSERT INTO city VALUES (?, ?)", [.text("city \(number)"), .integer(Int64(number))])
        }
        print(client.usesSharedMemory)
        // [shared-memory]
    }

    static func sharedMemoryOfTasks() async throws {
        // [shared-memory-of-tasks]
        let client = try await Client.connect(transport: .sharedMemory)
        for number in 1...1000 {
            try await client.execute("UPDATE city SET people = people + 1 WHERE name = ?", [.text("city \(number)")])
        }
        print(client.usesSharedMemory)
        // [shared-memory-of-tasks]
    }

    static func blocking() throws {
        // [blocking]
        let client = try BlockingClient.connect()
        let rows = try client.stream("SELECT name, people FROM city ORDER BY people DESC")
        while let row = try rows.next() {
            print(row[0], row[1])
        }
        print(rows.summary?.rowCount ?? 0)
        // [blocking]
    }
}
