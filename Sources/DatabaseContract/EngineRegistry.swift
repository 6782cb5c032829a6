// The engines of a program, by the URLs of their databases. Nothing else leads from a URL to an engine.

/// The engines of a program.
///
/// - Source: docs/protocol.md, URLs.
/// - Thread: any; it never changes.
public struct EngineRegistry: Sendable, Equatable {
    private let engines: [Engine]

    /// - Parameter engines: in the order in which a hint names them; no two have a name or a scheme in common.
    public init(_ engines: [Engine]) {
        precondition(Set(engines.map(\.name)).count == engines.count, "two engines have one name")
        let schemes = engines.flatMap(\.schemes)
        precondition(Set(schemes).count == schemes.count, "two engines have one scheme")
        self.engines = engines
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.engines.elementsEqual(right.engines) { $0 === $1 }
    }

    private func engine(of url: String) -> Engine? { engines.first { $0.isMeant(by: url) } }

    /// The name of the engine that a URL leads to; `nil` for none.
    public func name(of url: String) -> String? { engine(of: url)?.name }

    /// The location that a URL names.
    /// - Throws: `DriverError` with code `badRequest` that says what is wrong with the URL.
    public func location(url: String) throws(DriverError) -> any DatabaseLocation {
        guard let engine = engine(of: url) else { throw unknown(url) }
        return try engine.location(url: url)
    }

    private func unknown(_ url: String) -> DriverError {
        let scheme = url.split(separator: ":", maxSplits: 1).first.map(String.init) ?? ""
        let shown = "\"\(scheme.prefix(20))\""
        let isURL = url.utf8.contains(UInt8(ascii: ":"))
        let examples = engines.map(\.urlExample)
        let list = examples.dropLast().joined(separator: ", ") + (examples.count > 1 ? " or " : "")
        return DriverError(
            .badRequest, isURL ? "The URL scheme \(shown) is not known." : "\(shown) is no URL.",
            hint: "Use \(list)\(examples.last ?? "no URL: there is no engine").")
    }

    /// Whether the URL names a database on a server.
    public func isRemote(_ url: String) -> Bool { engine(of: url)?.placement == .server }

    /// Whether the URL of a server holds a password to log in with.
    public func hasPassword(_ url: String) -> Bool {
        isRemote(url) && RemoteURL.hasPassword(url, hasScheme: true)
    }

    /// The URL without passwords, so that anybody may see it.
    public func withoutSecrets(_ url: String) -> String {
        // A path may contain any character; anything else may be a mistyped URL.
        let isOfFile = url.hasPrefix("/") || engine(of: url)?.placement == .process
        if isOfFile, !url.contains(text: "://") { return url }
        return RemoteURL.withoutSecrets(url, hasScheme: isRemote(url))
    }

    /// Passes limits to every engine: before the first database is made, and at each reload.
    public func adopt(_ limits: EngineLimits) { for engine in engines { engine.takeOver(limits) } }
}
