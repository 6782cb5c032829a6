// The database that the cases of completion speak of: a small shop, and names that need quotes.

import Completion

/// A schema in memory, made of text.
struct StoreSchema: CompletionSchema {
    var isComplete = true
    private(set) var relations: [CompletionRelation] = []
    private(set) var columnsByRelation: [Int: [CompletionColumn]] = [:]
    private(set) var keys: [CompletionForeignKey] = []
    private var keysByRelation: [Int: [CompletionForeignKey]] = [:]
    private(set) var namespaceNames: [String] = []
    private var numbers: [String: Int] = [:]
    var routineList: [CompletionRoutine] = []
    var typeNames: [String] = []
    let isCaseSensitive: Bool

    init(isCaseSensitive: Bool = false) { self.isCaseSensitive = isCaseSensitive }

    private func key(_ name: String) -> String { isCaseSensitive ? name : name.lowercased() }

    /// `columns` are `name type`; a `*` in front marks a generated one, a `-` a hidden one.
    mutating func add(
        _ name: String, in namespace: String, kind: String = "table", isVisible: Bool = true, _ columns: [String]
    ) {
        if !namespaceNames.contains(namespace) { namespaceNames.append(namespace) }
        let number = relations.count
        relations.append(
            CompletionRelation(namespace: namespace, name: name, kind: kind, isVisible: isVisible, number: number))
        numbers["\(key(namespace)).\(key(name))"] = number
        if isVisible, numbers[key(name)] == nil { numbers[key(name)] = number }
        columnsByRelation[number] = columns.map { text in
            let marks = text.prefix { $0 == "*" || $0 == "-" }
            let words = text.dropFirst(marks.count).split(separator: "|", maxSplits: 1).map(String.init)
            return CompletionColumn(
                words[0], type: words.count > 1 ? words[1] : "", isHidden: marks == "-", isGenerated: marks == "*")
        }
    }

    mutating func refer(_ source: String, _ columns: [String], to target: String, _ others: [String]) {
        guard let from = relation(named: source, in: nil), let to = relation(named: target, in: nil) else { return }
        let made = CompletionForeignKey(from: from, columns, to: to, others)
        keysByRelation[from.number, default: []].append(made)
        if from != to { keysByRelation[to.number, default: []].append(made) }
    }

    func namespaces(matching pattern: NamePattern, limit: Int) -> [String] {
        namespaceNames.filter { pattern.match($0) != nil }
    }
    func hasNamespace(_ name: String) -> Bool { namespaceNames.contains { key($0) == key(name) } }

    func relations(matching pattern: NamePattern, in namespace: String?, limit: Int) -> [CompletionRelation] {
        var classes: [[Int]] = [[], [], []]
        for (number, relation) in relations.enumerated() {
            if let namespace, key(relation.namespace) != key(namespace) { continue }
            guard let match = pattern.match(relation.name) else { continue }
            if classes[Int(match.rawValue)].count < limit { classes[Int(match.rawValue)].append(number) }
        }
        return classes.joined().prefix(limit).map { relations[$0] }
    }

    func relation(named name: String, in namespace: String?) -> CompletionRelation? {
        numbers[(namespace.map { key($0) + "." } ?? "") + key(name)].map { relations[$0] }
    }

    func columns(of relation: CompletionRelation) -> [CompletionColumn] { columnsByRelation[relation.number] ?? [] }
    func foreignKeys(of relation: CompletionRelation) -> [CompletionForeignKey] {
        keysByRelation[relation.number] ?? []
    }

    func routines(matching pattern: NamePattern, in namespace: String?, limit: Int) -> [CompletionRoutine] {
        Array(
            routineList.filter { pattern.match($0.name) != nil && (namespace == nil || $0.namespace == namespace) }
                .prefix(limit))
    }

    func types(matching pattern: NamePattern, limit: Int) -> [String] { typeNames.filter { pattern.match($0) != nil } }

    func objects(_ kind: CompletionObject, matching pattern: NamePattern, limit: Int) -> [String] {
        let names = kind == .index ? ["orders_by_day", "customers_email"] : ["orders_log"]
        return names.filter { pattern.match($0) != nil }
    }

    // MARK: The shop

    /// As a database of that dialect has it.
    static func shop(_ dialect: CompletionDialect) -> StoreSchema {
        if dialect == .redis { return keys() }
        let home = [.sqlite: "main", .postgresql: "public", .mysql: "shop"][dialect] ?? "main"
        var schema = StoreSchema(isCaseSensitive: dialect == .postgresql)
        schema.add("customers", in: home, ["id|integer", "name|text", "email|text", "city|text"])
        schema.add("orders", in: home, ["id|integer", "customer_id|integer", "placed_on|date", "status|text"])
        schema.add(
            "order_items", in: home,
            [
                "order_id|integer", "line|integer", "product_id|integer", "quantity|integer", "price|numeric",
                "*total|numeric",
            ])
        schema.add("products", in: home, ["id|integer", "title|text", "price|numeric", "-secret|text"])
        schema.add("shipments", in: home, ["id|integer", "order_id|integer", "line|integer", "sent_at|timestamp"])
        schema.add("employees", in: home, ["id|integer", "name|text", "manager_id|integer"])
        schema.add("Odd Names", in: home, ["Id|integer", "First Name|text", "order|integer", "select|text"])
        schema.add("big_spenders", in: home, kind: "view", ["customer_id|integer", "spent|numeric"])
        schema.add(
            "audit_log", in: dialect == .sqlite ? "archive" : "audit", isVisible: false,
            ["id|integer", "what|text", "at|timestamp"])
        schema.refer("orders", ["customer_id"], to: "customers", ["id"])
        schema.refer("order_items", ["order_id"], to: "orders", ["id"])
        schema.refer("order_items", ["product_id"], to: "products", ["id"])
        schema.refer("shipments", ["order_id", "line"], to: "order_items", ["order_id", "line"])
        schema.refer("employees", ["manager_id"], to: "employees", ["id"])
        schema.routineList = [
            CompletionRoutine(namespace: home, name: "order_total", signature: "order_total(order_id integer) numeric"),
            CompletionRoutine(
                namespace: home, name: "close_month", signature: "close_month(month date)", isProcedure: true),
        ]
        schema.typeNames = dialect == .postgresql ? ["order_status", "money_amount"] : []
        return schema
    }

    /// Prefixes of keys of Redis.
    private static func keys() -> StoreSchema {
        var schema = StoreSchema(isCaseSensitive: true)
        for name in ["user:", "user:1:", "session:", "cart:", "a b:"] {
            schema.add(name, in: "0", kind: "key_prefix", [])
        }
        return schema
    }
}
