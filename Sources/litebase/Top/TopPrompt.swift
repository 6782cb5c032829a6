// The questions of `litebase top` before it ends something: keys in, a line and a decision out. No terminal here.

import LiteBaseClient

/// Asks what to end, and whether that is meant.
struct TopPrompt {
    /// What a key has come to.
    enum Outcome: Equatable {
        case asking
        case abandoned
        case chosen(TerminationTarget)
    }

    private enum Stage {
        case typing
        case confirming(TerminationTarget)
    }

    private let entries: [Activity.Entry]
    private var stage = Stage.typing
    private var text = ""
    private var isWrong = false

    private static let textByteCountMax = 48

    /// - Parameter entries: what is going on, in the order of the screen; the first is suggested.
    init(_ entries: [Activity.Entry]) { self.entries = entries }

    private var suggestion: TerminationTarget? { entries.first.map(TerminationTarget.init) }

    /// The question.
    var line: String {
        switch stage {
        case .typing where isWrong: "Not a target: \(text)_   (12 connection, 12.3 request, s12-1 session)"
        case .typing: "End what\(suggestion.map { " [\($0.text)]" } ?? "")? \(text)_   (Esc leaves)"
        case .confirming(let target): "End \(target.name)\(detail(of: target))? y/n"
        }
    }

    /// Whose it is, and how much.
    private func detail(of target: TerminationTarget) -> String {
        let concerned = entries.filter { entry in
            switch target {
            case .connection(let number): entry.connection == number
            case .request: TerminationTarget(entry) == target
            case .session(let name): entry.session == name
            }
        }
        guard let first = concerned.first else { return " (not listed)" }
        let user = first.user ?? first.uid.map(String.init)
        var parts = [user.map { "user \($0)" }, first.pid.map { "pid \($0)" }].compactMap { $0 }
        if concerned.count > 1 { parts.append("\(concerned.count) lines") }
        if concerned.count == 1, let sql = first.sql { parts.append(sql) }
        return parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))"
    }

    mutating func press(_ key: UInt8) -> Outcome {
        if key == Self.escape || key == UInt8(ascii: "q") { return .abandoned }
        guard case .confirming(let target) = stage else { return type(key) }
        // Nothing but a y ends the work of others.
        return key == UInt8(ascii: "y") || key == UInt8(ascii: "Y") ? .chosen(target) : .abandoned
    }

    private mutating func type(_ key: UInt8) -> Outcome {
        switch key {
        case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
            guard let target = text.isEmpty ? suggestion : TerminationTarget(text: text) else {
                if text.isEmpty { return .abandoned }
                isWrong = true
                return .asking
            }
            stage = .confirming(target)
        case 8, 127:
            _ = text.popLast()
            isWrong = false
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "s"):
            if text.utf8.count < Self.textByteCountMax { text.unicodeScalars.append(Unicode.Scalar(key)) }
            isWrong = false
        default: break
        }
        return .asking
    }

    private static let escape: UInt8 = 27
}
