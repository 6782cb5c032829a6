// Words that name nothing without quotes.
//
// - Source: https://www.sqlite.org/lang_keywords.html (of these, the ones that the grammar does not take for a name: the fallback list
//   in src/parse.y); PostgreSQL 15, appendix C, "reserved"; https://mariadb.com/kb/en/reserved-words/ and MySQL 8.0, "Keywords and
//   Reserved Words"

/// The words of a language that are no names, in small letters.
public enum ReservedWords {
    /// Of an engine's SQL; commands of Redis have none.
    public static func of(_ language: StatementSplitter.Language) -> Set<String> {
        switch language {
        case .sqlite: sqlite
        case .postgresql: postgresql
        case .mysql: mysql
        case .commandLines: []
        }
    }

    private static func set(_ words: String) -> Set<String> {
        Set(words.split(whereSeparator: \.isWhitespace).map(String.init))
    }

    private static let sqlite = set(
        """
        add all alter and as autoincrement between case check collate commit constraint create cross default deferrable delete distinct
        drop else escape except exists foreign from full group having in index inner insert intersect into is isnull join left limit
        natural not nothing notnull null on or order outer primary references right select set table then to transaction union unique
        update using values when where
        """)

    private static let postgresql = set(
        """
        all analyse analyze and any array as asc asymmetric authorization between binary both case cast check collate collation column
        concurrently constraint create cross current_catalog current_date current_role current_schema current_time current_timestamp
        current_user default deferrable desc distinct do else end except false fetch for foreign freeze from full grant group having
        ilike in initially inner intersect into is isnull join lateral leading left like limit localtime localtimestamp natural not
        notnull null offset on only or order outer overlaps placing primary references returning right select session_user similar
        some symmetric system_user table tablesample then to trailing true union unique user using variadic verbose when where window
        with
        """)

    private static let mysql = set(
        """
        accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call cascade case change char
        character check collate column condition constraint continue convert create cross cube cume_dist current_date current_time
        current_timestamp current_user cursor database databases day_hour day_microsecond day_minute day_second dec decimal declare
        default delayed delete dense_rank desc describe deterministic distinct distinctrow div double drop dual each else elseif empty
        enclosed escaped except exists exit explain false fetch first_value float float4 float8 for force foreign from fulltext function
        generated get grant group grouping groups having high_priority hour_microsecond hour_minute hour_second if ignore in index
        infile inner inout insensitive insert int int1 int2 int3 int4 int8 integer intersect interval into is iterate join json_table
        key keys kill lag last_value lateral lead leading leave left like limit linear lines load localtime localtimestamp lock long
        longblob longtext loop low_priority match maxvalue mediumblob mediumint mediumtext middleint minute_microsecond minute_second
        mod modifies natural not no_write_to_binlog nth_value ntile null numeric of offset on optimize option optionally or order out
        outer outfile over page_checksum parse_vcol_expr partition percent_rank position precision primary procedure purge range rank
        read reads read_write real recursive references regexp release rename repeat replace require resignal restrict return returning
        revoke right rlike row row_number rows schema schemas second_microsecond select sensitive separator set show signal smallint
        spatial specific sql sqlexception sqlstate sqlwarning sql_big_result sql_calc_found_rows sql_small_result ssl starting
        stats_auto_recalc stats_persistent stats_sample_pages stored straight_join system table terminated then tinyblob tinyint
        tinytext to trailing trigger true undo union unique unlock unsigned update usage use using utc_date utc_time utc_timestamp values
        varbinary varchar varcharacter varying virtual when where while window with write xor year_month zerofill
        """)
}
