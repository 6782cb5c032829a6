// How names are found by what was typed of them.

import Completion
import Testing

@Suite struct NamePatternTests {
    @Test(arguments: [
        ("", "orders", NameMatch.prefix), ("o", "orders", .prefix), ("ORD", "orders", .prefix),
        ("orders", "orders", .prefix),
        ("oi", "order_items", .acronym), ("oi", "OrderItems", .acronym), ("oi", "order items", .acronym),
        ("ori", "order_items", .subsequence),
        ("it", "order_items", .subsequence), ("os", "orders", .subsequence), ("oid", "order_items_daily", .acronym),
        ("o2", "order_2", .acronym),
    ])
    func matches(_ typed: String, _ name: String, _ expected: NameMatch) {
        #expect(NamePattern(typed).match(name) == expected)
    }

    @Test(arguments: [("x", "orders"), ("r", "orders"), ("orderss", "orders"), ("so", "orders"), ("io", "order_items")])
    func misses(_ typed: String, _ name: String) { #expect(NamePattern(typed).match(name) == nil) }
}
