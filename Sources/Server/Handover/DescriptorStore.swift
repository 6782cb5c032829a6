// An outside keeper of descriptors, so that connections outlive this process.

/// A service manager's descriptor store, as the server sees it.
///
/// A descriptor is kept until it is forgotten, or, if it is watched, until its socket has ended in both directions
/// (`shutdown(2)`).
///
/// - Thread: any.
/// - Source: sd_notify(3), FDSTORE=1.
public protocol DescriptorStore: Sendable {
    /// Keeps a duplicate of a descriptor under a name without colons.
    func keep(_ descriptor: Int32, name: String, isWatched: Bool)
    /// Closes the descriptor with that name.
    func forget(name: String)
    /// Waits, for a limited time, until the messages are on their way, even if this process ends then.
    func flush()
}

/// The names of descriptors that the server stores.
enum KeptName: Equatable {
    /// The table of all kept connections.
    case table
    /// Which user's requests run (`RequestWatch`).
    case requests
    /// A connection: its slot in the table, its number.
    case client(slot: Int, number: UInt64)
    /// Bytes of a connection that were read but not handled, or written but not sent.
    case leftover(slot: Int, number: UInt64)

    var text: String {
        switch self {
        case .table: "clients"
        case .requests: "requests"
        case .client(let slot, let number): "client-\(slot)-\(number)"
        case .leftover(let slot, let number): "leftover-\(slot)-\(number)"
        }
    }

    /// The number of the connection to which the entry belongs; `nil` for what belongs to none.
    var connectionNumber: UInt64? {
        switch self {
        case .table, .requests: nil
        case .client(_, let number), .leftover(_, let number): number
        }
    }

    init?(_ text: String) {
        if text == "clients" {
            self = .table
            return
        }
        if text == "requests" {
            self = .requests
            return
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, let slot = Int(parts[1]), let number = UInt64(parts[2]) else { return nil }
        switch parts[0] {
        case "client": self = .client(slot: slot, number: number)
        case "leftover": self = .leftover(slot: slot, number: number)
        default: return nil
        }
    }
}
