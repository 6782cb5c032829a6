import LinuxSystem
import LiteBaseClient
import Testing

@Suite struct ExamplesTests {
    private static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

    private static func read(_ path: String) throws -> String {
        String(decoding: try Files.read("\(root)/\(path)", byteCountMax: 1 << 20), as: UTF8.self)
    }

    /// Lines without the indentation that all of them share.
    private static func unindented(_ lines: [Substring]) -> String {
        let indentation = lines.filter { !$0.isEmpty }.map { $0.prefix { $0 == " " }.count }.min() ?? 0
        return lines.map { $0.dropFirst(indentation) }.joined(separator: "\n")
    }

    /// The document shows what is compiled here, and nothing else.
    @Test func theDocumentShowsTheExamples() throws {
        var compiled: [String] = []
        var current: [Substring]?
        for line in try Self.read("Tests/LiteBaseClientTests/Examples.swift").split(
            separator: "\n", omittingEmptySubsequences: false)
        {
            if line.contains("// [") {
                if let lines = current { compiled.append(Self.unindented(lines)) }
                current = current == nil ? [] : nil
            } else {
                current?.append(line)
            }
        }
        let blocks = try Self.read("docs/client-swift.md").split(separator: "```swift\n").dropFirst()
        var documented = blocks.map { block in
            block.split(separator: "\n", omittingEmptySubsequences: false).prefix { $0 != "```" }.joined(
                separator: "\n")
        }
        // The manifest (Tests/Documents/test_swift_package.py), and what the first example has in common with this module.
        let manifest = documented.removeFirst()
        #expect(manifest.hasPrefix("// swift-tools-version"))
        let imports = "import LiteBaseClient\n\n"
        try #require(documented[0].hasPrefix(imports))
        documented[0].removeFirst(imports.count)
        #expect(compiled.count >= 7)
        #expect(documented == compiled)
    }

    /// Runs all that need no procedures where a daemon is at hand.
    @Test(.enabled(if: Process.environment("LITEBASE_EXAMPLES") != nil, "set LITEBASE_EXAMPLES and LITEBASE_SOCKET"))
    func theExamplesWork() async throws {
        try await Examples.async()
        let client = try await Client.connect()
        try await Examples.batch(client)
        try await Examples.pipelining(client, names: ["Oslo", "Bergen"])
        try await Examples.changes(client)
        try await Examples.cancelling(client)
        try await Examples.transactions(client)
        try await Examples.errors(client)
        try await Examples.notices()
        try Examples.sharedMemory()
        try await Examples.sharedMemoryOfTasks()
        try Examples.blocking()
    }
}
