// Preparing statements and binding their parameters.

internal import CSQLite

extension SQLiteConnection {
    /// A prepared statement for `sql`, from the cache if it has one; marked as in use.
    /// - Throws: `DriverError` with the position of a syntax error, `needsSession` and the like.
    func statement(_ sql: UnsafeRawBufferPointer) throws(DriverError) -> CachedStatement {
        let sql = SQLText.withoutTail(sql)
        let hash = TextHash.hash(sql)
        if let cached = statements.find(sql, hash: hash) {
            cached.isInUse = true
            return cached
        }
        let prepared = try prepare(sql)
        prepared.isInUse = true
        // SQLite keeps the first statement only; with a comment behind it the text would never be found again.
        if prepared.sqlByteCount == sql.count { statements.insert(prepared, hash: hash) }
        return prepared
    }

    private func prepare(_ sql: UnsafeRawBufferPointer) throws(DriverError) -> CachedStatement {
        guard sql.count <= options.valueByteCountMax else {
            throw DriverError(.limitExceeded, "The SQL text is too long.", sqlState: "54000")
        }
        authorization = SQLiteAuthorization()
        isPreparing = true
        defer { isPreparing = false }
        var handle: OpaquePointer?
        var tail: UnsafePointer<CChar>?
        let text = sql.baseAddress?.assumingMemoryBound(to: CChar.self)
        let result = sqlite3_prepare_v3(
            self.handle, text, Int32(sql.count), UInt32(SQLITE_PREPARE_PERSISTENT), &handle, &tail)
        guard result == SQLITE_OK else {
            noteDamage(result)
            throw authorization.denial ?? SQLiteErrors.error(self.handle, result)
        }
        guard let handle else {
            throw DriverError(
                .badRequest, "The SQL text holds no statement.", hint: "Send one statement in sql.", sqlState: "42601")
        }
        let consumed = tail.flatMap { tail in text.map { tail - $0 } } ?? sql.count
        let statement = CachedStatement(handle, sqlByteCount: consumed, authorization)
        try refuseTail(UnsafeRawBufferPointer(rebasing: sql[min(consumed, sql.count)...]), offset: consumed)
        return statement
    }

    /// Only white space, comments and semicolons may follow the first statement.
    private func refuseTail(_ tail: UnsafeRawBufferPointer, offset: Int) throws(DriverError) {
        guard !tail.isEmpty, !SQLText.isBlank(tail) else { return }
        throw DriverError(
            DriverError.Details(
                code: .badRequest, message: "The SQL text holds more than one statement.",
                hint: "Send one statement in each query, or all of them in a batch.", sqlState: "42601", offset: offset)
        )
    }

    /// Binds the parameters of a run.
    ///
    /// Text and blobs are not copied: the run's owner keeps them until the run has ended
    /// (https://sqlite.org/c3ref/bind_blob.html, SQLITE_STATIC).
    func bind(_ run: StatementRun, to statement: CachedStatement) throws(DriverError) {
        if run.parameters.first?.name != nil { return try bindByName(run, to: statement) }
        guard run.parameters.count == statement.parameterCount else {
            throw parameterCountError(statement, run.parameters.count)
        }
        for index in run.parameters.indices {
            try bind(run.parameters[index].value, to: statement, Int32(index + 1))
        }
    }

    private func bindByName(_ run: StatementRun, to statement: CachedStatement) throws(DriverError) {
        sqlite3_clear_bindings(statement.handle)
        var isBound = [Bool](repeating: false, count: statement.parameterCount)
        for parameter in run.parameters {
            let place = try position(of: parameter.name, in: statement)
            try bind(parameter.value, to: statement, place)
            if isBound[Int(place) - 1] {
                throw DriverError(
                    .badRequest, "Parameter \(place) is given twice, with and without its prefix.", sqlState: "22023")
            }
            isBound[Int(place) - 1] = true
        }
        guard run.parameters.count == statement.parameterCount else {
            throw parameterCountError(statement, run.parameters.count)
        }
    }

    private func bind(
        _ value: DriverValue, to statement: CachedStatement, _ place: Int32
    ) throws(DriverError) {
        if case .unsigned = value { throw Self.beyondSigned(statement, place) }
        let result = bind(value, statement.handle, place)
        guard result == SQLITE_OK else {
            throw SQLiteErrors.error(handle, result).with { $0.detail = "Parameter \(place) cannot be bound." }
        }
    }

    /// SQLite has no unsigned integers: beyond 2^63 the value would change, so it is refused.
    private static func beyondSigned(_ statement: CachedStatement, _ place: Int32) -> DriverError {
        let name = sqlite3_bind_parameter_name(statement.handle, place).map { " (\(String(cString: $0)))" } ?? ""
        return DriverError(
            .badRequest,
            "Parameter \(place)\(name) is an integer beyond 9223372036854775807, the greatest that SQLite has.",
            hint: "Send it as text, or as a real number.", sqlState: "22003")
    }

    private func bind(_ value: DriverValue, _ handle: OpaquePointer, _ place: Int32) -> Int32 {
        switch value {
        case .null: return sqlite3_bind_null(handle, place)
        case .bool(let value): return sqlite3_bind_int64(handle, place, value ? 1 : 0)
        case .integer(let value): return sqlite3_bind_int64(handle, place, value)
        case .unsigned: return SQLITE_RANGE
        case .real(let value): return sqlite3_bind_double(handle, place, value)
        case .text(let bytes):
            // A NULL pointer would bind NULL; an empty text needs an address.
            let base = bytes.baseAddress ?? Self.emptyAddress
            return sqlite3_bind_text64(
                handle, place, base.assumingMemoryBound(to: CChar.self), UInt64(bytes.count), nil, UInt8(SQLITE_UTF8))
        case .blob(let bytes):
            guard let base = bytes.baseAddress, bytes.count > 0 else { return sqlite3_bind_zeroblob(handle, place, 0) }
            return sqlite3_bind_blob64(handle, place, base, UInt64(bytes.count), nil)
        }
    }

    private static var emptyAddress: UnsafeRawPointer { UnsafeRawPointer(StaticString("").utf8Start) }

    /// Position of a named parameter, given with or without its prefix.
    private func position(of name: UnsafeRawBufferPointer?, in statement: CachedStatement) throws(DriverError) -> Int32
    {
        let name = String(decoding: name ?? UnsafeRawBufferPointer(start: nil, count: 0), as: UTF8.self)
        let isPrefixed = name.hasPrefix(":") || name.hasPrefix("@") || name.hasPrefix("$")
        for candidate in isPrefixed ? [name] : [":" + name, "@" + name, "$" + name] {
            let place = sqlite3_bind_parameter_index(statement.handle, candidate)
            if place > 0 { return place }
        }
        throw DriverError(
            .badRequest, "The statement has no parameter named \"\(name.prefix(64))\".",
            hint:
                "Its parameters are: \(statement.parameterNames.prefix(20).map { $0 ?? "?" }.joined(separator: ", ")).",
            sqlState: "22023")
    }

    private func parameterCountError(_ statement: CachedStatement, _ given: Int) -> DriverError {
        DriverError(
            .badRequest,
            "The number of parameters is wrong: the statement has \(statement.parameterCount), given: \(given).",
            hint: Hint.parameters, sqlState: "07001")
    }
}

/// Facts about SQL text that need no parser.
enum SQLText {
    /// The text without white space and semicolons at its end.
    static func withoutTail(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var end = text.count
        while end > 0 {
            switch text[end - 1] {
            case 0x09...0x0d, UInt8(ascii: " "), UInt8(ascii: ";"): end -= 1
            default: return UnsafeRawBufferPointer(rebasing: text[..<end])
            }
        }
        return UnsafeRawBufferPointer(rebasing: text[..<0])
    }

    /// Whether there is nothing but white space, comments and semicolons.
    static func isBlank(_ text: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < text.count {
            let next = index + 1 < text.count ? text[index + 1] : 0
            switch (text[index], next) {
            case (0x09...0x0d, _), (UInt8(ascii: " "), _), (UInt8(ascii: ";"), _): index += 1
            case (UInt8(ascii: "-"), UInt8(ascii: "-")):
                while index < text.count, text[index] != UInt8(ascii: "\n") { index += 1 }
            case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                index += 2
                while index < text.count, !(text[index - 1] == UInt8(ascii: "*") && text[index] == UInt8(ascii: "/")) {
                    index += 1
                }
                index += 1
            default: return false
            }
        }
        return true
    }
}
