// Objects of JSON as rows: one on each line, or all in one array. Values are those of the protocol (docs/protocol.md, Values):
// `{"$blob": …}`, `{"$int": …}` and `{"$real": …}` are what they stand for, other arrays and objects stay text.

internal import ByteBuffers

extension RowReader {
    mutating func readJSONLines(_ block: RowBlock, isLast: Bool) {
        readRecords(block) { reader, start in reader.readJSONLine(block, at: start, isLast: isLast) }
    }

    private mutating func readJSONLine(_ block: RowBlock, at start: Int, isLast: Bool) -> Record {
        let count = block.count
        guard start < count else { return isLast ? .end : .incomplete }
        let base = block.start
        guard let (end, next) = Self.lineEnd(base, start, count, isLast: isLast) else { return .incomplete }
        line += 1
        var scanner = JSONScanner(base, start, end)
        scanner.skipSpace()
        if scanner.isAtEnd { return .record(next) }
        guard isValidUTF8(UnsafeRawBufferPointer(start: base + start, count: end - start)) else {
            return .malformed(Self.notUTF8, next)
        }
        if let problem = takeObject(&scanner, block) { return .malformed(problem, next) }
        scanner.skipSpace()
        return scanner.isAtEnd ? .record(next) : .malformed("There is something behind its object.", next)
    }

    /// Reads objects within one array.
    mutating func readJSONArray(_ block: RowBlock, isLast: Bool) throws(TabularError) {
        while block.cells.count < RowBlock.cellCountMax {
            guard let object = try nextObject(block, isLast: isLast) else { return }
            let cellCount = block.cells.count
            var scanner = JSONScanner(block.start, object.lowerBound, object.upperBound)
            let bytes = UnsafeRawBufferPointer(
                start: block.start + object.lowerBound, count: object.count)
            let first = line
            for byte in bytes where byte == 10 { line += 1 }
            let problem = isValidUTF8(bytes) ? takeObject(&scanner, block) : Self.notUTF8
            if let problem {
                block.cells.removeLast(block.cells.count - cellCount)
                block.reject(first, problem)
            } else {
                block.rowLines.append(first)
            }
            arrayPlace = .behindValue
            block.parsedCount = object.upperBound
        }
    }

    /// Steps to the next object of the array.
    /// - Returns: where it is; `nil` where more bytes are needed, or behind the last one.
    private mutating func nextObject(_ block: RowBlock, isLast: Bool) throws(TabularError) -> Range<Int>? {
        let (base, count) = (block.start, block.count)
        while true {
            var index = block.parsedCount
            while index < count, JSONScanner.isSpace(base[index]) {
                if base[index] == 10 { line += 1 }
                index += 1
            }
            block.parsedCount = index
            guard index < count else {
                if isLast, arrayPlace != .end {
                    if arrayPlace == .start { throw .noRows }
                    throw .malformed(line: line, reason: "The file ends within its array.")
                }
                return nil
            }
            switch (arrayPlace, base[index]) {
            case (.start, UInt8(ascii: "[")): arrayPlace = .first
            case (.first, UInt8(ascii: "]")), (.behindValue, UInt8(ascii: "]")): arrayPlace = .end
            case (.behindValue, UInt8(ascii: ",")): arrayPlace = .beforeValue
            case (.first, UInt8(ascii: "{")), (.beforeValue, UInt8(ascii: "{")):
                if let end = JSONScanner.objectEnd(base, index, count) { return index..<end }
                if isLast { throw .malformed(line: line, reason: "The file ends within an object.") }
                return nil
            case (.start, _):
                throw .malformed(line: line, reason: "It does not begin with [; objects on lines are \"jsonl\".")
            default: throw .malformed(line: line, reason: "There is something else than an object in its array.")
            }
            block.parsedCount = index + 1
        }
    }

    /// The keys of the first object, which is not stepped over.
    mutating func readJSONNames(_ block: RowBlock, isLast: Bool) throws(TabularError) -> Names {
        let former = (line, arrayPlace, block.parsedCount)
        defer { (line, arrayPlace, block.parsedCount) = former }
        let (base, count) = (block.start, block.count)
        var range: Range<Int>?
        if options.format == .jsonArray {
            range = try nextObject(block, isLast: isLast)
            if range == nil { return isLast || arrayPlace == .end ? .none : .incomplete }
        } else {
            var start = block.parsedCount
            while start < count, JSONScanner.isSpace(base[start]) { start += 1 }
            guard start < count else { return isLast ? .none : .incomplete }
            guard let (end, _) = Self.lineEnd(base, start, count, isLast: isLast) else { return .incomplete }
            range = start..<end
        }
        guard let range else { return .none }
        // A copy: reading it changes it.
        let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: range.count)
        defer { copy.deallocate() }
        copy.update(from: base + range.lowerBound, count: range.count)
        guard isValidUTF8(UnsafeRawBufferPointer(start: copy, count: range.count)) else {
            throw .malformed(line: line, reason: Self.notUTF8)
        }
        var scanner = JSONScanner(copy, 0, range.count)
        var names: [[UInt8]] = []
        guard scanner.take(UInt8(ascii: "{")) else { throw .malformed(line: line, reason: Self.noObject) }
        var isFirst = true
        while !scanner.takeSpaced(UInt8(ascii: "}")) {
            guard isFirst || scanner.takeSpaced(UInt8(ascii: ",")), let key = scanner.key(), scanner.value() != nil
            else {
                throw .malformed(line: line, reason: Self.badJSON)
            }
            isFirst = false
            guard names.count < Self.fieldCountMax else {
                throw .malformed(line: line, reason: "It has more members than a table may have columns.")
            }
            names.append(Array(UnsafeBufferPointer(start: copy + key.lowerBound, count: key.count)))
        }
        return .names(names)
    }

    private static let noObject = "It is not an object."
    private static let badJSON = "It is not JSON."

    /// Appends the values of an object.
    /// - Returns: what is wrong with it.
    private func takeObject(_ scanner: inout JSONScanner, _ block: RowBlock) -> String? {
        let first = block.cells.count
        for _ in 0..<columnCount { block.cells.append(Cell(.null)) }
        scanner.skipSpace()
        guard scanner.take(UInt8(ascii: "{")) else { return Self.noObject }
        var (isFirst, expected) = (true, 0)
        while !scanner.takeSpaced(UInt8(ascii: "}")) {
            guard isFirst || scanner.takeSpaced(UInt8(ascii: ",")), let key = scanner.key() else {
                return Self.badJSON
            }
            isFirst = false
            guard let value = scanner.value() else { return Self.badJSON }
            let name = UnsafeBufferPointer(start: scanner.base + key.lowerBound, count: key.count)
            if let column = column(named: name, after: expected) {
                block.cells[first + column] = value
                expected = column + 1
            } else if !ignoresOtherKeys {
                return "It has \"\(String(decoding: name.prefix(64), as: UTF8.self))\", which is no column."
            }
        }
        return nil
    }

    /// Most objects have their keys in the order of the first one.
    private func column(named name: UnsafeBufferPointer<UInt8>, after expected: Int) -> Int? {
        if expected < keys.count, name.elementsEqual(keys[expected]) { return expected }
        return places[Array(name)]
    }
}
