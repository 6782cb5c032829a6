// An engine as a program registers it: its URLs, and what is known about it before any database of it exists.

/// A kind of databases.
///
/// The target of an engine makes one value of this (`Engine.sqlite` and its like), and the program puts it into its
/// `EngineRegistry`. No code of the server asks which engine it is.
/// - Thread: any; it never changes.
public final class Engine: Sendable {
    /// Where the databases of an engine live.
    public enum Placement: Sendable {
        /// In this process, in files or in memory; the daemon says who may do what with them.
        case process
        /// On a server, which is reached by a login of its own, with or without a password.
        case server
    }

    /// Its name in the protocol (`engine`).
    public let name: String
    /// Schemes of its URLs, without the colon.
    public let schemes: [String]
    /// What its URLs look like, for a hint.
    public let urlExample: String
    public let placement: Placement
    /// Values that one execution of a statement may be given, and what that limit is called.
    public let parameterCountMax: Int
    private let parameterLimitName: StaticString
    /// What is made of a request on its way to the engine.
    public let copies: RequestCopies
    /// A statement that asks for nothing but an answer: of a server one round trip, of a file a look into it.
    public let pingText: StaticString
    /// How its databases tell what is in them; `nil` if they cannot.
    public let catalog: (any CatalogSource)?
    /// Whether a database is a file, which can be copied (`RunKind.backup`).
    public let hasFiles: Bool
    /// How rows of files get into its tables; `nil` if it has none.
    public let loading: (any RowLoading)?
    private let parse: @Sendable (String) throws(DriverError) -> any DatabaseLocation
    private let adopt: @Sendable (EngineLimits) -> Void

    /// Most values of one execution of a statement that every engine of the protocol accepts.
    public static let commonParameterCountMax = 32_766

    /// - Parameters:
    ///   - name: its name in the protocol.
    ///   - schemes: of its URLs, without the colon; no other engine has one of them.
    ///   - urlExample: what its URLs look like.
    ///   - placement: where its databases live.
    ///   - parameterCountMax: values that one execution of a statement may be given; not below `commonParameterCountMax`,
    ///     up to which nobody asks.
    ///   - parameterLimitName: what that limit is called in errors.
    ///   - copies: what is made of a request on its way, besides what the engine itself charges.
    ///   - pingText: a statement that asks for nothing but an answer.
    ///   - hasFiles: whether a database is a file, which can be copied.
    ///   - catalog: how its databases tell what is in them.
    ///   - loading: how rows of files get into its tables.
    ///   - adopt: takes over limits for all of its databases together: before the first one is made, where it may also set
    ///     up a library, and at each reload.
    ///   - parse: reads a URL that has one of the schemes; an error is a `badRequest` whose text holds no secret.
    public init(
        name: String, schemes: [String], urlExample: String, placement: Placement,
        parameterCountMax: Int = commonParameterCountMax, parameterLimitName: StaticString = "parameters_max",
        copies: RequestCopies = RequestCopies(), pingText: StaticString, hasFiles: Bool = false,
        catalog: (any CatalogSource)? = nil, loading: (any RowLoading)? = nil,
        adopt: @escaping @Sendable (EngineLimits) -> Void = { _ in },
        parse: @escaping @Sendable (String) throws(DriverError) -> any DatabaseLocation
    ) {
        precondition(parameterCountMax >= Self.commonParameterCountMax, "\(name) takes too few parameters")
        self.name = name
        self.schemes = schemes
        self.urlExample = urlExample
        self.placement = placement
        self.parameterCountMax = parameterCountMax
        self.parameterLimitName = parameterLimitName
        self.copies = copies
        self.pingText = pingText
        self.catalog = catalog
        self.loading = loading
        self.hasFiles = hasFiles
        self.adopt = adopt
        self.parse = parse
    }

    func isMeant(by url: String) -> Bool { schemes.contains { url.hasPrefix("\($0):") } }

    func location(url: String) throws(DriverError) -> any DatabaseLocation { try parse(url) }

    func takeOver(_ limits: EngineLimits) { adopt(limits) }

    /// The error of a statement with too many values; `nil` if the number is allowed.
    public func refusal(ofParameters count: Int) -> DriverError? {
        guard count > parameterCountMax else { return nil }
        return DriverError(
            .limitExceeded,
            "A statement was given \(count) values; the engine takes \(parameterCountMax) (\(parameterLimitName)).",
            hint: "Send them in several statements, or in rows of parameters of a batch.", sqlState: "54000"
        ).with { $0.limit = DriverLimit(name: parameterLimitName, value: Int64(parameterCountMax)) }
    }
}

/// Memory that an engine's client library and its driver take for a request at most until the server has it, in bytes: so much is
/// charged to its sender while it is in flight.
public struct RequestCopies: Sendable, Equatable {
    /// For each byte of the request.
    public var perByte: Int
    /// For each parameter of a statement, besides its bytes.
    public var perParameter: Int

    public init(perByte: Int = 0, perParameter: Int = 0) {
        self.perByte = perByte
        self.perParameter = perParameter
    }
}

/// What the engines within the process may take, all databases of one together, in bytes; 0: no limit.
public struct EngineLimits: Sendable, Equatable {
    public var memoryInAll = 0
    public var memoryOfUser = 0
    /// Of temporary files.
    public var filesOfUser = 0
    /// Open temporary files, in all and of one user.
    public var fileCountInAll = 0
    public var fileCountOfUser = 0

    public init(
        memoryInAll: Int, memoryOfUser: Int, filesOfUser: Int, fileCountInAll: Int = 0, fileCountOfUser: Int = 0
    ) {
        self.fileCountInAll = fileCountInAll
        self.fileCountOfUser = fileCountOfUser
        self.memoryInAll = memoryInAll
        self.memoryOfUser = memoryOfUser
        self.filesOfUser = filesOfUser
    }
}
