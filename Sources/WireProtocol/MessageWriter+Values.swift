// The values of a message's data.

public import ByteBuffers

extension MessageWriter {
    public mutating func null(into output: inout ByteBuffer) {
        prepareValue(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackNull()
        case .json: output.appendJSONNull()
        }
    }

    public mutating func bool(_ value: Bool, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackBool(value)
        case .json: output.appendJSONBool(value)
        }
    }

    public mutating func integer(_ value: Int64, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackInteger(value)
        case .json: output.appendJSONInteger(value, style: int64Style)
        }
    }

    public mutating func unsigned(_ value: UInt64, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackUnsigned(value)
        case .json: output.appendJSONUnsigned(value, style: int64Style)
        }
    }

    public mutating func real(_ value: Double, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackReal(value)
        case .json: output.appendJSONReal(value)
        }
    }

    /// Writes text; bytes that are not UTF-8 become a blob, never altered.
    public mutating func text(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        guard isValidUTF8(bytes) else {
            blob(bytes, into: &output)
            return
        }
        prepareValue(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackText(bytes)
        case .json: output.appendJSONText(bytes)
        }
    }

    public mutating func text(_ text: StaticString, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackText(text)
        case .json: output.appendJSONText(text)
        }
    }

    @_disfavoredOverload
    public mutating func text(_ text: String, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackText(text)
        case .json: output.appendJSONText(text)
        }
    }

    public mutating func blob(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        switch encoding {
        case .messagePack: output.appendMessagePackBinary(bytes)
        case .json: output.appendJSONBlob(bytes)
        }
    }

    /// Writes one value that is already in this writer's encoding, such as the columns of a prepared statement.
    public mutating func encoded(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        output.append(bytes)
    }

    /// Writes a request's id as a value, such as the `request` of `fetch` and `cancel`.
    public mutating func id(_ id: RequestID, into output: inout ByteBuffer) {
        prepareValue(into: &output)
        switch id {
        case .string(let bytes): encoding == .json ? output.appendJSONText(bytes) : output.appendMessagePackText(bytes)
        case .integer(let value):
            encoding == .json
                ? output.appendJSONInteger(value, style: .number) : output.appendMessagePackInteger(value)
        case .unsigned(let value):
            encoding == .json
                ? output.appendJSONUnsigned(value, style: .number) : output.appendMessagePackUnsigned(value)
        case .none: encoding == .json ? output.appendJSONNull() : output.appendMessagePackNull()
        }
    }
}
