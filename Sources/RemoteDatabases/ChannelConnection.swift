// What an engine whose server has channels implements.

package import DatabaseContract

/// An engine whose server sends messages to those who listen.
///
/// - Thread: any.
package protocol ChannelDriver: RemoteDriver {
    /// - Throws: `badRequest` for what cannot be the name of a channel, or a pattern where there are none.
    func check(_ name: ChannelName) throws(DriverError)
    /// Connects, for messages alone. As `open`.
    /// - Thread: one that may block.
    func openChannels(password: String?) throws(DriverError) -> any ChannelConnection
}

extension ChannelDriver {
    /// As `connect`.
    /// - Thread: one that may block.
    func connectChannels() throws(DriverError) -> any ChannelConnection {
        let password = try settings.passwordFile?.read()
        do throws(DriverError) {
            return try openChannels(password: password)
        } catch {
            throw error.hiding(secrets + [password].compactMap(\.self))
        }
    }
}

/// A connection on which messages come. It ends with its last reference.
///
/// - Thread: one that may block.
package protocol ChannelConnection: AnyObject {
    /// The descriptor of the socket, which the connection owns.
    var socketNumber: Int32 { get }
    /// What its loss is called.
    var lossReason: ChangeGap { get }
    /// Has the server begin and stop to send what is sent to those names. What is sent behind its return comes.
    /// - Returns: the names with which the server does not begin, and why.
    /// - Throws: when the connection is lost.
    func change(beginning: [ChannelName], ending: [ChannelName]) throws(DriverError) -> [ChannelName: DriverError]
    /// Takes what has come, without waiting.
    /// - Throws: when the connection is lost.
    func read() throws(DriverError) -> [ChannelMessage]
    /// Asks whether the server is still there.
    /// - Throws: when it is not.
    func ping() throws(DriverError)
}
