// `hello`: client and daemon introduce themselves.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

extension HelloRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.hello(request)
    }
}

extension Connection {
    func hello(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(HelloRequest.self, of: request.head)
        guard content.speaksVersion1 else {
            throw RequestError(
                .badRequest, "None of the client's protocol versions is known here.",
                hint: "This daemon speaks version 1: send \"protocol\": [1].")
        }
        if content.wantsSharedMemory {
            try checkLane()
            if let loop = loopForLane { return move(request, to: loop) }
        }
        preferences.int64Style = content.int64
        preferences.noticeEncoding = content.notices ? request.encoding : nil
        preferences.name = content.client.flatMap(Self.shownName)
        takeDescriptors(content.descriptors && peer != nil && !isMonitor)
        var greeting = HelloReply()
        greeting.version = context.shared.version
        greeting.protocolVersion = WireLimits.protocolVersion
        greeting.limits = context.limits.announced
        greeting.peer = peer.map(HelloReply.Peer.init)
        greeting.isAdministrator = isAdministrator
        greeting.isMonitor = isMonitor ? true : nil
        greeting.takesDescriptors = preferences.takesDescriptors ? true : nil
        guard content.wantsSharedMemory else { return reply(greeting, to: request) }
        return answer(request, greeting, content)
    }

    private func answer(
        _ request: ReceivedRequest, _ greeting: HelloReply, _ content: HelloRequest
    ) -> RequestOutcome {
        if let sizes = stream.laneSizes { return reply(greeting.with(sizes), to: request) }
        guard let rings = makeLane(for: content) else { return reply(greeting, to: request) }
        // There is nothing else in the output (`checkLane`).
        let outcome = reply(greeting, to: request)
        let refusal = [UInt8](stream.output.next)
        stream.output.removeAll { context.dispose(of: &$0) }
        _ = reply(greeting.with(rings.sizes), to: request)
        open(rings, refusal: refusal)
        return outcome
    }

    /// The name as other programs may show it: printable ASCII, of bounded length; `nil` when it is empty.
    private static func shownName(_ name: UnsafeRawBufferPointer) -> String? {
        let printable = UInt8(ascii: " ")...UInt8(ascii: "~")
        let bytes = name.prefix(WireLimits.clientNameByteCountMax).map {
            printable.contains($0) ? $0 : UInt8(ascii: "?")
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

extension HelloReply {
    /// The same for a client whose messages go through a lane.
    fileprivate func with(_ sizes: LaneRings.Sizes) -> HelloReply {
        var greeting = self
        greeting.transport = "\(HelloRequest.sharedMemory)"
        greeting.requestRingByteCount = Int64(sizes.request)
        greeting.replyRingByteCount = Int64(sizes.reply)
        return greeting
    }
}

extension HelloReply.Peer {
    init(_ peer: PeerCredentials) {
        self.init()
        uid = Int64(peer.uid)
        gid = Int64(peer.gid)
        pid = Int64(peer.pid)
        user = Process.userName(uid: peer.uid)
    }
}

extension Limits {
    /// The limits that `hello` reports to a client.
    fileprivate var announced: NamedValues<Int64> {
        var values = NamedValues<Int64>()
        for name in [
            .frameBytes, .rowBytes, .requestsInFlight, .requestsInFlightPerUser, .sessionsPerConnection,
            .sessionsPerUser, .pagedQueriesPerConnection, .statementTime,
        ] as [LimitName] { values.append("\(name.name)", name.value(self)) }
        return values
    }
}
