// `complete`: what may come next in a statement. It is answered from memory; no database is asked for it.

internal import Catalog
internal import Completion
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension CompleteRequest: DirectlyAnsweredRequest {
  static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError)
    -> RequestOutcome
  {
    try connection.complete(request)
  }
}

/// A `complete` request on its way through a worker.
private struct CompletionTask: @unchecked Sendable {
  /// Within the operation's storage, which stays until it is answered.
  let content: CompleteRequest
  let dialect: CompletionDialect?
  let names: any CompletionSchema & Sendable

  private static let defaultLimit = 50

  /// - Thread: a worker's.
  func run() -> CompletionList {
    guard let dialect else { return CompletionList(replace: content.cursor..<content.cursor) }
    return Completion.complete(
      content.sql, at: content.cursor, dialect: dialect, schema: names,
      limit: content.limit.map { Int(clamping: $0) } ?? Self.defaultLimit,
      recent: content.recent.map { String(decoding: $0, as: UTF8.self) })
  }
}

extension Connection {
  /// A worker looks for the items: how long that takes is up to the text and to the number of names.
  func complete(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
    let content = try content(CompleteRequest.self, of: request.head)
    let place = try completionPlace(content.target)
    let operation = makeOperation(request)
    let dialect = CompletionDialect(engine: place.engine.name)
    let task = CompletionTask(
      content: content, dialect: dialect, names: names(place, dialect ?? .sqlite))
    operation.progress = .running
    track(operation)
    let mailbox = context.loop.mailbox
    let here = LoopBound((self, operation), mailbox)
    context.shared.workers.submit(for: owner.uid) {
      let list = task.run()
      mailbox.submit {
        let (connection, operation) = here.wrapped
        connection.finishCompletion(operation, list)
      }
    }
    return .pending
  }

  private func finishCompletion(_ operation: Operation, _ list: CompletionList) {
    if !isClosed { withOutputStorage { reply(CompleteReply(list), to: operation) } }
    operationDidEnd(operation)
  }

  // MARK: Names

  /// Whose names are wanted.
  private struct CompletionPlace {
    var engine: Engine
    /// `nil` for a session on a database without a name.
    var grant: Grant?
    var session: String?
  }

  private func completionPlace(_ target: Target) throws(RequestError) -> CompletionPlace {
    guard target.session != nil else {
      let grant = try findDatabase(target.database)
      return CompletionPlace(engine: grant.database.engine, grant: grant)
    }
    let route = try route(target)
    var place = CompletionPlace(engine: route.link.engine, session: route.session?.name)
    if case .database(let entry, let access) = route.session?.right {
      place.grant = Grant(entry: entry, access: access)
    }
    return place
  }

  /// What is known of a database by now: of a session, as it has asked for it, else as everybody sees it. What may have changed is
  /// asked for again, for the next request.
  private func names(_ place: CompletionPlace, _ dialect: CompletionDialect) -> any CompletionSchema
    & Sendable
  {
    let cache = context.shared.catalogs
    let database = place.grant.map { ObjectIdentifier($0.database) }
    let doubts = cache.doubts(of: database)
    let own = place.session.flatMap { cache.find(CatalogKey(database: database, session: $0)) }
    let shared = database.flatMap { cache.find(CatalogKey(database: $0, session: nil)) }
    if let grant = place.grant, let database { refreshNames(of: grant, database, doubts) }
    let known = [own, shared].compactMap { $0 }
    guard let catalog = known.first(where: { $0.doubts == doubts }) ?? known.first else {
      return NoNames(isComplete: place.grant == nil || place.engine.catalog == nil)
    }
    return CatalogNames(
      index: catalog.index, dialect: dialect, isComplete: catalog.doubts == doubts)
  }

  /// Has the catalog of a database looked at, and filled if it does not hold; nobody waits for it.
  private func refreshNames(of grant: Grant, _ database: ObjectIdentifier, _ doubts: UInt64) {
    guard let source = grant.database.engine.catalog,
      context.shared.completionChecks.begin(database, doubts: doubts, at: context.loop.now)
    else { return }
    let origin = CatalogOrigin(
      link: context.link(by: grant), source: source, database: grant.database, session: nil)
    let wanted = CatalogWanted(
      query: CatalogQuery(level: .namespaces), definitions: false, refresh: false, etag: nil)
    let run = CatalogRun("", RowSink(), mayWrite: false)
    _ = CatalogLink(origin, wanted, context, account).start(run, for: owner)
  }
}

/// When the catalogs of databases were last looked at for completion: at most once in a while, whatever is typed.
/// - Thread: any.
final class CompletionChecks: Sendable {
  private struct Check {
    var time: MonotonicInstant
    var doubts: UInt64
  }

  private let checks = Mutex<[ObjectIdentifier: Check]>([:])

  private static let intervalNanoseconds: Int64 = 1_000_000_000
  /// A database that is gone is not looked at again.
  private static let countMax = 4_096

  /// - Returns: whether it is time: it is at once when the daemon itself has changed something.
  func begin(_ database: ObjectIdentifier, doubts: UInt64, at now: MonotonicInstant) -> Bool {
    checks.withLock { checks in
      if let last = checks[database], last.doubts == doubts,
        now.nanoseconds(since: last.time) < Self.intervalNanoseconds
      {
        return false
      }
      if checks.count >= Self.countMax { checks.removeAll() }
      checks[database] = Check(time: now, doubts: doubts)
      return true
    }
  }
}

/// Nothing is known of the database, only its language.
private struct NoNames: CompletionSchema {
  let isComplete: Bool

  func namespaces(matching pattern: NamePattern, limit: Int) -> [String] { [] }
  func hasNamespace(_ name: String) -> Bool { false }
  func relations(matching pattern: NamePattern, in namespace: String?, limit: Int)
    -> [CompletionRelation]
  { [] }
  func relation(named name: String, in namespace: String?) -> CompletionRelation? { nil }
  func columns(of relation: CompletionRelation) -> [CompletionColumn] { [] }
  func foreignKeys(of relation: CompletionRelation) -> [CompletionForeignKey] { [] }
  func routines(matching pattern: NamePattern, in namespace: String?, limit: Int)
    -> [CompletionRoutine]
  { [] }
  func types(matching pattern: NamePattern, limit: Int) -> [String] { [] }
}

extension CompleteReply {
  fileprivate init(_ list: CompletionList) {
    self.init()
    replace.from = Int64(list.replace.lowerBound)
    replace.to = Int64(list.replace.upperBound)
    items = list.items.map(Item.init)
    isIncomplete = list.isIncomplete ? true : nil
  }
}

extension CompleteReply.Item {
  fileprivate init(_ item: CompletionItem) {
    self.init()
    text = item.text
    label = item.label
    kind = item.kind.rawValue
    detail = item.detail.isEmpty ? nil : item.detail
    relation = item.relation.isEmpty ? nil : item.relation
  }
}
