// What a node of a cluster says instead of executing a command, and what is done then: values without sockets and clocks.
//
// Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Redirection and resharding"

/// A refusal with which nothing has happened.
enum RedisRedirection: Equatable, Sendable {
    /// Another node has the slot; without a host, at the same address.
    case moved(slot: UInt16, host: String, port: UInt16)
    /// The slot is on its way to another node, which may have the key: this command alone.
    case ask(slot: UInt16, host: String, port: UInt16)
    /// The slot is on its way, and some keys of the command are here, others there.
    case tryAgain
    /// The cluster serves nothing at the moment, or not this slot.
    case clusterDown

    static let byteCountMax = 320

    /// Reads an error of a reply; `nil` for any other.
    ///
    /// Only the very texts of servers count (clusterRedirectClient in src/cluster.c of Redis 7; those of Redis 3 to 6, and of Valkey, are
    /// among them): other words in capitals may be those of a command that was executed.
    init?(_ text: String) {
        guard text.utf8.count <= Self.byteCountMax else { return nil }
        switch text {
        case "TRYAGAIN Multiple keys request during rehashing of slot": self = .tryAgain
        case "CLUSTERDOWN The cluster is down", "CLUSTERDOWN The cluster is down and only accepts read commands",
            "CLUSTERDOWN Hash slot not served":
            self = .clusterDown
        default: self.init(words: text.split(separator: " ", omittingEmptySubsequences: false))
        }
    }

    private init?(words: [Substring]) {
        guard words.count == 3, ["MOVED", "ASK"].contains(words[0]), let slot = Self.number(words[1]),
            slot < RedisSlot.count, let colon = words[2].lastIndex(of: ":"),
            let port = Self.number(words[2][words[2].index(after: colon)...]), port > 0
        else { return nil }
        let host = String(words[2][..<colon])
        // "?": the node does not know the name of the other one.
        guard host.isEmpty || host == "?" || RedisSlotMap.isHost(host) else { return nil }
        self =
            words[0] == "MOVED"
            ? .moved(slot: slot, host: host, port: port) : .ask(slot: slot, host: host, port: port)
    }

    private static func number(_ digits: Substring) -> UInt16? {
        digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt16(digits) : nil
    }

    /// The slot that it names.
    var slot: UInt16? {
        switch self {
        case .moved(let slot, _, _), .ask(let slot, _, _): slot
        case .tryAgain, .clusterDown: nil
        }
    }
}

/// What a node has refused of one run.
struct RedisRefusals: Equatable {
    /// Whose reply begins.
    enum Step: Equatable {
        /// The daemon's own, such as MULTI; of the client's, one that only waits.
        case other
        case ofClient
        /// EXEC of an atomic batch.
        case commit
    }

    private var first: RedisRedirection?
    private var refusedCount = 0
    private var replyCount = 0
    private var isCommitted = false

    /// A reply begins; `redirection`: what it says instead of executing the command, `isError`: it is any error.
    mutating func note(_ redirection: RedisRedirection?, isError: Bool, of step: Step) {
        switch step {
        case .other: return
        case .ofClient: replyCount += 1
        case .commit: isCommitted = isCommitted || !isError
        }
        guard let redirection else { return }
        if step == .ofClient { refusedCount += 1 }
        first = first ?? redirection
    }

    /// Why the run has failed, if that is why, and nothing of it has happened. `isDivisible`: each of its commands stands for itself;
    /// else one that is refused keeps all from being executed, as EXEC itself has said.
    func redirection(isDivisible: Bool) -> RedisRedirection? {
        isCommitted || (isDivisible && refusedCount < replyCount) ? nil : first
    }
}

/// How far one command, or a batch, was sent from node to node.
///
/// It ends whatever the nodes say: the steps are counted, and pauses become longer.
struct RedisTrail: Equatable, Sendable {
    /// What is to be done.
    enum Action: Equatable {
        /// The client gets what the node has said.
        case deliver
        /// Send it to that node; `isAsking`: with ASKING before it. The map is old where the node has moved for good.
        case send(node: Int, isAsking: Bool, mapIsOld: Bool)
        /// Get a new map, and send it by that.
        case refresh
        /// Send it by the map again, so many milliseconds later.
        case pause(milliseconds: Int64)
        /// The cluster does not come to an end: nothing has happened.
        case giveUp
    }

    private var stepCount = 0
    private var pauseCount = 0
    private var refreshCount = 0

    static let stepCountMax = 16
    static let pauseCountMax = 6
    /// New maps, which come once a second.
    static let refreshCountMax = 3
    private static let firstPauseMilliseconds: Int64 = 25

    /// A node has refused.
    ///
    /// `slot` is that of the keys; `sender` the host of the node, for an address without one; `node` finds
    /// the primary at an address, if the map has it. No address is used that the cluster itself does not name: a script can say
    /// anything.
    mutating func next(
        _ redirection: RedisRedirection, slot: UInt16, sender: String, node: (String, UInt16) -> Int?
    ) -> Action {
        stepCount += 1
        switch redirection {
        case .moved(let told, let host, let port), .ask(let told, let host, let port):
            // What is of another slot, no node says by itself.
            guard told == slot else { return .deliver }
            guard stepCount <= Self.stepCountMax else { return .giveUp }
            guard let found = node(host.isEmpty ? sender : host, port) else {
                refreshCount += 1
                return refreshCount <= Self.refreshCountMax ? .refresh : .giveUp
            }
            if case .ask = redirection { return .send(node: found, isAsking: true, mapIsOld: false) }
            return .send(node: found, isAsking: false, mapIsOld: true)
        case .tryAgain, .clusterDown:
            pauseCount += 1
            guard stepCount <= Self.stepCountMax, pauseCount <= Self.pauseCountMax else { return .giveUp }
            return .pause(milliseconds: Self.firstPauseMilliseconds << Int64(pauseCount - 1))
        }
    }
}
