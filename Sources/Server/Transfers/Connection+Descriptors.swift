// Descriptors that come with requests.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    /// Lets the client send descriptors along, or not any more.
    func takeDescriptors(_ mayPass: Bool) {
        guard mayPass != preferences.takesDescriptors else { return }
        preferences.takesDescriptors = mayPass
        stream.takeDescriptors(mayPass ? DescriptorInbox(account, context.shared.transfers) : nil)
    }

    /// Takes what a request declares, before anything else is asked of it: otherwise the next request that declares
    /// some would get what belongs to this one.
    func takeDescriptors(of head: RequestHead, _ row: RequestRow) throws(RequestError) {
        guard stream.descriptors != nil else {
            throw RequestError(
                .badRequest, "This request needs a descriptor, and the connection does not take any.",
                hint: "Connect to the Unix socket, send hello with \"descriptors\": true, wait for the reply, and send "
                    + "the descriptor along with the request (SCM_RIGHTS).")
        }
        guard let type = row.content as? any TransferRequest.Type else {
            preconditionFailure("a request type without descriptors declares some")
        }
        let count: Int64
        do throws(RequestError) {
            count = try content(type, of: head).transfer.descriptorCount
        } catch {
            stream.descriptors?.removeAll()
            throw error
        }
        receiveDescriptors(Int(clamping: count))
        switch stream.descriptors?.take(Int(clamping: count)) {
        case .files(let files): passedFiles = files
        case .tooMany:
            throw RequestError(
                .limitExceeded,
                "\(account.name.capitalizedFirst) has sent \(Limits.descriptorCountPerUserMax) descriptors that are not "
                    + "closed yet, the most of one user.",
                hint: "Wait until transfers have ended."
            ).with { $0.isRetryable = true }
        case .missing, .none:
            closeSoon()
            throw RequestError(
                .badRequest,
                "The request declares \(count) descriptors, and fewer have come with it; the connection ends.",
                hint: "Send them in one sendmsg(2) with bytes of the request.")
        }
    }

    /// Beside a lane, descriptors were sent before the request that declares them, and may not have been received.
    private func receiveDescriptors(_ count: Int) {
        guard stream.laneState == .open else { return }
        while let inbox = stream.descriptors, inbox.count < count, !inbox.isBroken {
            guard case .bytes = stream.receiveSignals() else { return }
        }
    }

    /// Closes what belongs to requests that were handled and have not declared it. Beside a lane nobody knows whose they are
    /// until they are declared.
    func closeUndeclared(before rest: Int) {
        if stream.laneState == .open { return }
        stream.descriptors?.closeUndeclared(before: rest)
    }

    /// Ends a connection to which more have come than it may have waiting.
    func refuseDescriptors() {
        guard stream.descriptors?.isBroken == true, !isLeaving else { return }
        reply(
            RequestError(
                .limitExceeded, "More descriptors have come than a connection may have waiting; the connection ends.",
                hint: "Send those that a request declares, together with it."), id: .none,
            encoding: stream.plainEncoding)
        closeSoon()
    }
}
