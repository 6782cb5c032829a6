// What must hold for any bytes that a peer may send: for the fuzzers, and for the tests, which replay their corpus.

internal import ByteBuffers
internal import WireProtocol

/// Each check traps when something does not hold that must.
public enum FuzzChecks {
    /// A connection's bytes: the same frames come out however the bytes arrive, and every request in them is decoded.
    public static func frames(_ bytes: UnsafeRawBufferPointer) {
        let whole = Splitter.split(bytes, chunk: max(bytes.count, 1))
        let chunk = 1 + (bytes.count > 5 ? Int(bytes[5] & 7) : 0)
        let pieces = Splitter.split(bytes, chunk: chunk)
        precondition(whole == pieces, "the same bytes in smaller pieces are other frames")
        guard let framing = whole.framing else { return }
        for body in whole.bodies { request(slice(bytes, body), framing: framing) }
    }

    /// A JSON message: whatever is accepted becomes valid MessagePack, and survives being written as JSON again.
    public static func json(_ bytes: UnsafeRawBufferPointer) {
        var output = ByteBuffer()
        output.append("kept")
        do throws(DecodeError) {
            try JSONTranscoder.transcode(bytes, into: &output)
        } catch {
            precondition(output.count == 4, "a message that is refused leaves nothing behind")
            check(error, in: bytes)
            return
        }
        output.consume(4)
        precondition(output.count <= 5 + bytes.count / 2 * 5, "a message grows 2.5 times at most")
        requireValid(output.readable, "what JSON becomes is valid")

        var again = ByteBuffer()
        var writer = JSONWriter(reader: MessagePackReader(output.readable))
        writer.value(into: &again, depth: 0)
        var second = ByteBuffer()
        do throws(DecodeError) {
            try JSONTranscoder.transcode(again.readable, into: &second)
        } catch {
            preconditionFailure("what was accepted is refused when it is written again: \(error.message)")
        }
        var third = ByteBuffer()
        var secondWriter = JSONWriter(reader: MessagePackReader(second.readable))
        secondWriter.value(into: &third, depth: 0)
        precondition(again.readable.elementsEqual(third.readable), "writing and reading again changes nothing")
        head(output.readable)
    }

    /// A MessagePack value: the reader never leaves the bytes; the validator accepts only what the reader can walk through.
    public static func messagePack(_ bytes: UnsafeRawBufferPointer) {
        var isValid = true
        do throws(DecodeError) {
            try MessagePackReader.validate(bytes)
        } catch {
            isValid = false
            check(error, in: bytes)
        }
        var reader = MessagePackReader(bytes)
        do throws(DecodeError) {
            try reader.skip()
            precondition(!isValid || reader.isAtEnd, "valid is one value")
        } catch {
            precondition(!isValid, "what is valid can be skipped")
        }
        var tokens = MessagePackReader(bytes)
        var count = 0
        while !tokens.isAtEnd, (try? tokens.next()) != nil { count += 1 }
        precondition(count <= bytes.count, "every token has a byte")
        head(bytes)
        _ = try? ReplyHead.decode(bytes)
    }
}

extension FuzzChecks {
    /// Decodes one body as the server does.
    private static func request(_ body: UnsafeRawBufferPointer, framing: Framing) {
        guard let encoding = WireFormats.all.encoding(of: body, in: framing) else { return }
        var output = ByteBuffer()
        guard (try? encoding.format.translate(body, into: &output)) != nil else { return }
        head(output.readable)
    }

    /// Decodes an envelope, and its data as that of every request.
    private static func head(_ body: UnsafeRawBufferPointer) {
        let head: RequestHead
        do throws(HeadError) {
            head = try RequestHead.decode(body)
        } catch {
            check(error.error, in: body)
            echo(error.id)
            return
        }
        requireValid(body, "a body whose envelope is decoded is valid")
        echo(head.id)
        _ = try? HelloRequest(head.data)
        _ = try? ConnectRequest(head.data)
        _ = try? DisconnectRequest(head.data)
        _ = try? DescribeRequest(head.data)
        if let reference = try? RequestReference(head.data) { echo(reference.request) }
        if let query = try? QueryRequest(head.data) { walk(query.parameters) }
        if let batch = try? BatchRequest(head.data) { walk(batch) }
    }

    private static func walk(_ batch: BatchRequest) {
        var statements = batch.makeReader()
        var count = 0
        while let statement = statements.next() {
            count += 1
            switch statement.parameters {
            case .once(let list): walk(list)
            case .rows(let rows):
                var reader = rows.makeReader()
                while let list = reader.next() { walk(list) }
            }
        }
        precondition(count == batch.statementCount)
    }

    private static func walk(_ list: ParameterList) {
        var reader = list.makeReader()
        var count = 0
        while let parameter = reader.next() {
            count += 1
            precondition((parameter.name != nil) == list.isNamed)
            if case .text(let text) = parameter.value { precondition(isValidUTF8(text)) }
        }
        precondition(count == list.count)
    }

    /// Writes an id into a reply and reads it back from there.
    private static func echo(_ id: RequestID) {
        var output = ByteBuffer()
        var writer = MessageWriter(encoding: .messagePack, framing: .lengthPrefixed)
        writer.begin(type: "error", id: id, timestamp: WireTimestamp(nanosecondsSince1970: 1), into: &output)
        writer.end(into: &output)
        output.consume(4)
        requireValid(output.readable, "a written message is valid")
        guard let reply = try? ReplyHead.decode(output.readable) else { preconditionFailure("a reply is readable") }
        precondition(reply.id == id, "an id is echoed exactly")
    }

    private static func check(_ error: DecodeError, in bytes: UnsafeRawBufferPointer) {
        precondition(error.offset >= 0 && error.offset <= bytes.count, "an error lies in the body")
    }

    private static func requireValid(_ bytes: UnsafeRawBufferPointer, _ claim: StaticString) {
        do throws(DecodeError) {
            try MessagePackReader.validate(bytes)
        } catch {
            preconditionFailure("\(claim): \(error.message)")
        }
    }

    fileprivate static func slice(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[range])
    }
}

/// Splits bytes that arrive in chunks, as a connection does.
private struct Splitter: Equatable {
    var framing: Framing?
    var bodies: [Range<Int>] = []
    var failure: FrameFailureKind?
    /// Bytes that belong to no message.
    var left = 0

    /// Without what depends on when the bytes arrived.
    enum FrameFailureKind { case tooLarge, httpRequest, unknownFirstByte }

    static func split(_ bytes: UnsafeRawBufferPointer, chunk: Int) -> Splitter {
        var result = Splitter()
        var decoder = FrameDecoder(frameByteCountMax: 200, formats: .all)
        var consumed = 0
        var arrived = min(chunk, bytes.count)
        while result.failure == nil {
            let pending = FuzzChecks.slice(bytes, consumed..<arrived)
            let step = arrived == bytes.count ? decoder.finish(in: pending) : decoder.next(in: pending)
            switch step {
            case .incomplete(let needed):
                precondition(needed >= 0 && needed <= 204, "no more is wanted than a frame")
                result.framing = decoder.framing
                result.left = pending.count
                if arrived == bytes.count { return result }
                precondition(needed > 0, "something is wanted")
                arrived = min(arrived + chunk, bytes.count)
            case .frame(let body, let used):
                precondition(used > 0 && body.upperBound <= used && used <= pending.count)
                result.bodies.append(body.lowerBound + consumed..<body.upperBound + consumed)
                consumed += used
            case .skip(let used):
                precondition(used > 0 && used <= pending.count)
                consumed += used
            case .failure(let failure):
                result.left = 0
                switch failure {
                case .tooLarge: result.failure = .tooLarge
                case .httpRequest: result.failure = .httpRequest
                case .unknownFirstByte: result.failure = .unknownFirstByte
                }
            }
        }
        result.framing = decoder.framing
        return result
    }
}

/// Writes a MessagePack value that came from JSON as JSON.
private struct JSONWriter {
    var reader: MessagePackReader

    mutating func value(into output: inout ByteBuffer, depth: Int) {
        guard let token = try? reader.next() else { preconditionFailure("a valid value is readable") }
        switch token {
        case .null: output.appendJSONNull()
        case .bool(let value): output.appendJSONBool(value)
        case .integer(let value): output.appendJSONInteger(value, style: .number)
        case .unsigned(let value): output.appendJSONUnsigned(value, style: .number)
        case .real(let value): output.appendJSONReal(value)
        case .text(let text): output.appendJSONText(text)
        case .binary(let bytes): output.appendJSONBlob(bytes)
        case .array(let count):
            output.append(UInt8(ascii: "["))
            for index in 0..<count {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                value(into: &output, depth: depth + 1)
            }
            output.append(UInt8(ascii: "]"))
        case .map(let count):
            output.append(UInt8(ascii: "{"))
            for index in 0..<count {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                value(into: &output, depth: depth + 1)
                output.append(UInt8(ascii: ":"))
                value(into: &output, depth: depth + 1)
            }
            output.append(UInt8(ascii: "}"))
        case .ext: preconditionFailure("JSON has no extension types")
        }
    }
}
