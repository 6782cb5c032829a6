// Where the arrays of a batch are in its body, by its metadata.

/// What the metadata of a batch say, checked against the columns and against the length of the body.
struct ArrowBatchHead {
    let rowCount: Int
    let bodyByteCount: Int

    /// An array: how many values it has, whether some are null, and its buffers.
    private struct Node {
        let count: Int64
        let hasNulls: Bool
        let buffers: Range<Int>
    }

    private let nodes: [Node]
    private let buffers: [ArrowBuffer]

    var heldByteCount: Int {
        nodes.count * MemoryLayout<Node>.stride + buffers.count * MemoryLayout<ArrowBuffer>.stride
    }

    init(
        _ batch: FlatTable, _ layout: [ArrowField.Layout], bodyByteCount: Int, emptyRowCountMax: Int
    ) throws(ArrowReadError) {
        guard try batch.table(3) == nil else { throw .compressed }
        let count: Int64 = try batch.number(0)
        guard count >= 0, count / 8 - Int64(emptyRowCountMax / 8) <= Int64(bodyByteCount) else {
            throw ArrowReadError("The stream is damaged: a batch of \(bodyByteCount) bytes claims \(count) rows.")
        }
        rowCount = Int(count)
        self.bodyByteCount = bodyByteCount
        buffers = try Self.buffers(of: batch, bodyByteCount: bodyByteCount)
        let list = try batch.elements(1, byteCount: 16)
        let moreCounts = try batch.elements(4, byteCount: 8)
        var nodes: [Node] = []
        nodes.reserveCapacity(layout.count)
        var (next, nextMore) = (0, 0)
        for array in layout {
            guard nodes.count < list.count else { throw .damagedBatch }
            var bufferCount = Int64(array.bufferCount)
            if array.hasMore {
                guard nextMore < moreCounts.count else { throw .damagedBatch }
                let more = try moreCounts.long(atByte: 8 * nextMore)
                guard more >= 0, more <= Int64(buffers.count) else { throw .damagedBatch }
                bufferCount += more
                nextMore += 1
            }
            guard bufferCount <= Int64(buffers.count - next) else { throw .damagedBatch }
            let place = 16 * nodes.count
            let (valueCount, nullCount) = (try list.long(atByte: place), try list.long(atByte: place + 8))
            nodes.append(
                Node(count: valueCount, hasNulls: nullCount != 0, buffers: next..<(next + Int(bufferCount))))
            next += Int(bufferCount)
        }
        guard nodes.count == list.count, next == buffers.count else { throw .damagedBatch }
        self.nodes = nodes
    }

    private static func buffers(
        of batch: FlatTable, bodyByteCount: Int
    ) throws(ArrowReadError) -> [ArrowBuffer] {
        let list = try batch.elements(2, byteCount: 16)
        var buffers: [ArrowBuffer] = []
        buffers.reserveCapacity(list.count)
        // All together are not more than the body, so that work on them is not more, either.
        var rest = Int64(bodyByteCount)
        for index in 0..<list.count {
            let (start, count) = (try list.long(atByte: 16 * index), try list.long(atByte: 16 * index + 8))
            guard start >= 0, count >= 0, start <= Int64(bodyByteCount), count <= Int64(bodyByteCount) - start else {
                throw .damagedBatch
            }
            guard count <= rest else { throw .damagedBatch }
            rest -= count
            buffers.append(ArrowBuffer(start: Int(start), byteCount: Int(count)))
        }
        return buffers
    }

    func array(
        _ node: Int, _ form: ArrowForm, _ dictionary: ArrowDictionary?
    ) throws(ArrowReadError) -> ArrowArray {
        // A column with parts, which nobody asks for.
        guard form != .other else {
            return try ArrowArray(.null, nil, count: rowCount, hasNulls: false, [])
        }
        guard nodes[node].count == rowCount else { throw .damagedBatch }
        return try ArrowArray(
            form, dictionary, count: rowCount, hasNulls: nodes[node].hasNulls, buffers[nodes[node].buffers])
    }
}
