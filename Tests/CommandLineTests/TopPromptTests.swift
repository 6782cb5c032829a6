// The questions of `litebase top` before it ends something, and targets as text.

import LiteBaseClient
import Testing

@testable import litebase

@Suite struct TopPromptTests {
    private static func press(_ keys: String, _ prompt: inout TopPrompt) -> TopPrompt.Outcome {
        var outcome = TopPrompt.Outcome.asking
        for key in keys.utf8 {
            outcome = prompt.press(key)
            if outcome != .asking { break }
        }
        return outcome
    }

    @Test(arguments: [
        ("12", TerminationTarget.connection(12)), ("12.3", .request(3, connection: 12)), ("s12-1", .session("s12-1")),
        ("9223372036854775807", .connection(.max)),
    ])
    func targets(text: String, target: TerminationTarget) {
        #expect(TerminationTarget(text: text) == target)
        #expect(target.text == text)
    }

    @Test(arguments: [
        "", "0", "12.", ".3", "12.0", "1.2.3", "s", "s1", "s1-", "s-1", "s1-2-3", "s0-1", "+1", " 1", "1 ", "x", "١",
        "9223372036854775808",
    ])
    func noTargets(text: String) { #expect(TerminationTarget(text: text) == nil) }

    @Test func aTargetIsConfirmedByAYAlone() {
        for (keys, outcome) in [
            ("7.4\ry", TopPrompt.Outcome.chosen(.request(4, connection: 7))), ("7\ny", .chosen(.connection(7))),
            ("7\nY", .chosen(.connection(7))), ("7\nn", .abandoned), ("7\n\n", .abandoned), ("7\n ", .abandoned),
            ("7\n\u{1b}", .abandoned), ("\u{1b}", .abandoned), ("q", .abandoned), ("7y", .asking), ("7.\n", .asking),
            ("7.\n\u{7f}\ny", .chosen(.connection(7))), ("xx7\u{8}8\ny", .chosen(.connection(8))),
        ] {
            var prompt = TopPrompt([])
            #expect(Self.press(keys, &prompt) == outcome, "\(keys)")
        }
        // There is nothing to suggest.
        var prompt = TopPrompt([])
        #expect(Self.press("\n", &prompt) == .abandoned)
    }

    @Test func whatIsTypedHasALimit() {
        var prompt = TopPrompt([])
        #expect(Self.press(String(repeating: "1", count: 10_000), &prompt) == .asking)
        #expect(prompt.line.utf8.count < 200)
    }
}
