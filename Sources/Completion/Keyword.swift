// The words of SQL that the scanner heeds.

/// A word that has a meaning for the shape of a statement. Others are names to the scanner.
enum Keyword: String, CaseIterable {
    case none = ""
    case select, from, `where`, group, order, by, having, window, limit, offset, fetch
    case with, recursive, `as`, materialized, union, intersect, except, minus, all, distinct, lateral, only
    case join, inner, left, right, full, outer, cross, natural, straight_join, on, using
    case insert, replace, into, values, `default`, update, set, delete, returning, conflict, duplicate, `do`, nothing
    case merge, matched, when, then, `else`, end, `case`
    case create, alter, drop, table, view, index, trigger, temp, temporary, unique, `if`, not, exists, references, add
    case column, rename, to, primary, foreign, key, check, constraint, virtual, truncate
    case function, procedure, schema, database, type, sequence, begin, each, row, before, after, instead, of, `for`
    case explain, analyze, vacuum, reindex, pragma, attach, detach, copy, grant, revoke, comment, lock, cluster, refresh
    case show, reset, use, call, execute, describe, desc, asc, prepare, declare, cursor, global, session, local, persist
    case and, or, `in`, like, ilike, glob, regexp, match, between, `is`, null, isnull, notnull, similar, escape, collate
    case `true`, `false`, any, some, cast, over, partition, filter, within, rows, range, groups, interval
    case verbose, current_date, current_time, current_timestamp, localtime, localtimestamp, current_user, session_user
    case ignore, abort, fail, rollback, commit, savepoint, release, start, transaction, nulls, first, last
    case unbounded, preceding, following, current, share, extract, generated, always, stored, cascade, restrict, no
    case indexed, tablesample, repeatable, ordinality, system_time, timestamp, cycle, search, low_priority, delayed,
        quick
    case high_priority, distinctrow, sql_small_result, sql_big_result, sql_buffer_result, sql_cache, sql_no_cache
    case sql_calc_found_rows, passing, columns, nested, force, sets, fulltext, spatial, exclude
    case action, signed, unsigned, zerofill, kill, user, role, domain, `extension`, policy, rule, aggregate, event

    /// `nil` when it is none of these.
    static func named(_ bytes: ArraySlice<UInt8>) -> Keyword {
        guard bytes.count <= byteCountMax else { return .none }
        // Most words are short enough for a string that needs no memory of its own.
        let word = String(unsafeUninitializedCapacity: bytes.count) { buffer in
            _ = buffer.initialize(from: bytes.lazy.map(NamePattern.lowered))
            return bytes.count
        }
        return byWord[word] ?? .none
    }

    private static let byteCountMax = 19
    private static let byWord = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    /// Whether it cannot name a relation or a column where one is expected: the parts of a query.
    var isStructural: Bool { Self.structural.contains(self) }

    private static let structural: Set<Keyword> = [
        .select, .from, .where, .group, .order, .having, .window, .limit, .offset, .fetch, .with, .as, .union,
        .intersect,
        .except, .lateral, .join, .inner, .left, .right, .full, .cross, .natural, .straight_join, .on, .using, .into,
        .values, .set, .returning, .when, .then, .else, .end, .case, .create, .table, .references, .and, .or, .in,
        .between,
        .is, .null, .not, .for, .distinct, .all, .union,
    ]

    static let verbModifiers: Set<Keyword> = [.low_priority, .delayed, .high_priority, .quick, .ignore]
    static let selectModifiers: Set<Keyword> = [
        .high_priority, .straight_join, .distinctrow, .sql_small_result, .sql_big_result, .sql_buffer_result,
        .sql_cache, .sql_no_cache, .sql_calc_found_rows,
    ]

    /// Whether a value follows it, and not an operator.
    var isBeforeOperand: Bool { Self.beforeOperand.contains(self) }

    private static let beforeOperand: Set<Keyword> = [
        .select, .where, .by, .having, .limit, .offset, .all, .distinct, .on, .values, .set, .returning, .when, .then,
        .else,
        .case, .and, .or, .not, .in, .like, .ilike, .glob, .regexp, .match, .between, .is, .similar, .to, .escape, .any,
        .some,
        .interval, .from, .using, .exists, .default, .with, .call, .over, .filter, .check, .if,
    ]
}
