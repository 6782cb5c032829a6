// Words that ask for certain others, wherever they stand in a query.

/// What follows the last words before the cursor.
enum WordFollowers {
    private struct Entry {
        /// `s`, `p`, `m`: SQLite, PostgreSQL, MySQL.
        var dialects: Substring
        /// The clause in which that holds; `*` for every one.
        var clause: Substring
        var phrases: Substring
    }

    static let wordCountMax = 4

    /// What follows the words.
    /// - Parameters:
    ///   - words: the last ones before the cursor, in capitals.
    ///   - dialect: whose words they are.
    ///   - clause: in which they stand.
    /// - Returns: phrases with a bar between them; `nil` if these words ask for nothing.
    static func phrases(behind words: [String], _ dialect: CompletionDialect, _ clause: Frame.Clause) -> Substring? {
        let letter: Character
        switch dialect {
        case .sqlite: letter = "s"
        case .postgresql: letter = "p"
        case .mysql: letter = "m"
        case .redis: return nil
        }
        for count in stride(from: min(words.count, wordCountMax), to: 0, by: -1) {
            let entry = table[words.suffix(count).joined(separator: " ")]?.first {
                $0.dialects.contains(letter) && ($0.clause == "*" || $0.clause == "\(clause)")
            }
            if let entry { return entry.phrases }
        }
        return nil
    }

    private static let table: [String: [Entry]] = {
        var table: [String: [Entry]] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            let head = parts[0].split(separator: " ")
            guard parts.count == 2, head.count > 2 else { continue }
            table[head.dropFirst(2).joined(separator: " "), default: []].append(
                Entry(dialects: head[0], clause: head[1], phrases: parts[1].drop { $0 == " " }))
        }
        return table
    }()

    // - Source: https://www.sqlite.org/lang.html, https://www.postgresql.org/docs/current/sql-select.html and
    //   …/sql-expressions.html, https://dev.mysql.com/doc/refman/8.4/en/select.html
    private static let text = """
        pm * FOR UPDATE: OF|NOWAIT|SKIP LOCKED
        pm * FOR SHARE: OF|NOWAIT|SKIP LOCKED
        pm * UPDATE SKIP: LOCKED
        pm * SHARE SKIP: LOCKED
        p * FOR NO: KEY UPDATE
        p * NO KEY: UPDATE
        m * FOR: UPDATE|SHARE
        m * LOCK IN: SHARE MODE
        m relationRead LOCK: IN SHARE MODE
        spm * ROWS BETWEEN: UNBOUNDED PRECEDING|CURRENT ROW
        spm * RANGE BETWEEN: UNBOUNDED PRECEDING|CURRENT ROW
        sp * GROUPS BETWEEN: UNBOUNDED PRECEDING|CURRENT ROW
        spm * PRECEDING AND: CURRENT ROW|UNBOUNDED FOLLOWING
        spm * ROW AND: CURRENT ROW|UNBOUNDED FOLLOWING
        spm * FOLLOWING AND: CURRENT ROW|UNBOUNDED FOLLOWING
        p * WITHIN GROUP (: ORDER BY
        p order USING: <|>
        pm limit FETCH FIRST: ROW ONLY|ROWS ONLY
        pm limit FETCH NEXT: ROW ONLY|ROWS ONLY
        pm limit ROWS WITH: TIES
        p relationRead TABLESAMPLE BERNOULLI: (
        p relationRead TABLESAMPLE SYSTEM: (
        p withAfter SEARCH: BREADTH FIRST BY|DEPTH FIRST BY
        p withAfter SEARCH BREADTH: FIRST BY
        p withAfter SEARCH DEPTH: FIRST BY
        m relationRead FOR SYSTEM_TIME: AS OF|BETWEEN|FROM|ALL
        m relationRead SYSTEM_TIME AS: OF
        m * WITH ROLLUP: HAVING|ORDER BY|LIMIT
        sp * EXCLUDE: NO OTHERS|CURRENT ROW|GROUP|TIES
        sp * FILTER (: WHERE
        s * RAISE (: ABORT|FAIL|IGNORE|ROLLBACK
        s relationRead INDEXED: BY
        s relationRead NOT: INDEXED
        p * IS NOT: NULL|TRUE|FALSE|UNKNOWN|DISTINCT FROM
        m * IS NOT: NULL|TRUE|FALSE|UNKNOWN
        p * OVERRIDING: SYSTEM VALUE|USER VALUE
        p * CONFLICT ON: CONSTRAINT
        p * WHEN NOT: MATCHED THEN|MATCHED AND
        p * NOT MATCHED THEN: INSERT|DO NOTHING
        p * WHEN MATCHED THEN: UPDATE SET|DELETE|DO NOTHING
        p * AT: TIME ZONE
        p * WHERE CURRENT: OF
        p * GROUPING: SETS (
        p * TABLESAMPLE: BERNOULLI (|SYSTEM (
        p * FROM ROWS: FROM (
        p relationRead ) WITH: ORDINALITY
        s * NOT INDEXED: WHERE|ORDER BY|LIMIT
        m group WITH: ROLLUP
        m * SOUNDS: LIKE
        m relationRead USE: INDEX (|KEY (
        m relationRead FORCE: INDEX (|KEY (
        m relationRead IGNORE: INDEX (|KEY (
        m relationRead PARTITION: (
        m * IGNORE INDEX FOR: JOIN|ORDER BY|GROUP BY
        m * FORCE INDEX FOR: JOIN|ORDER BY|GROUP BY
        m * USE INDEX FOR: JOIN|ORDER BY|GROUP BY
        m selectList INTO: OUTFILE|DUMPFILE
        """
}
