// The names that may stand before a parenthesis in a statement that leaves no state. A missing name costs a reset of
// the connection; a wrong one would let state stay. None of these takes SQL as a text, sets a value of the session,
// takes a lock, or changes a sequence.
//
// Source: https://www.postgresql.org/docs/15/functions.html, https://mariadb.com/kb/en/built-in-functions/

extension PlainStatement {
    /// At the beginning of a statement, or of one in parentheses.
    static let wordsThatInsert: Set<String> = ["insert", "merge", "replace"]

    /// Between one of those and INTO.
    static let wordsBeforeInto: Set<String> = ["ignore", "low_priority", "high_priority", "delayed"]

    /// PROCEDURE ANALYSE() calls a procedure; NEXT VALUE FOR changes a sequence, PREVIOUS VALUE FOR shows one.
    static let refusedOfMySQL: Set<String> = ["procedure", "next", "previous"]

    static func isListed(_ word: String, _ dialect: ServerDialect) -> Bool {
        common.contains(word)
            || (dialect == .postgresql ? postgresql.contains(word) : mysql.contains(word))
    }

    private static func names(_ text: String) -> Set<String> {
        Set(text.split { $0 == " " || $0 == "\n" }.map(String.init))
    }

    /// Words of the language, types, and functions that both have.
    private static let common = names(
        """
        all and any as asc between by case cast collate conflict cross cube default desc delete distinct do else end except
        exclude exists extract filter from full group grouping having in inner insert intersect is join lateral left like
        limit matched materialized natural not offset on or order outer over partition recursive replace returning right
        rollup row rows select set sets some symmetric then to union unique update using values when where window with within
        bigint binary bit char character date datetime dec decimal double float int integer interval json nchar numeric real
        smallint text time timestamp tinyint uuid varbinary varchar varying
        abs acos ascii asin atan atan2 avg bit_and bit_length bit_or bit_xor ceil ceiling char_length character_length chr
        coalesce concat concat_ws cos cot count cume_dist current_date current_time current_timestamp degrees dense_rank
        exp first_value floor greatest hex lag last_value lead least length ln localtime localtimestamp log log10 lower lpad
        ltrim max md5 min mod now nth_value ntile nullif octet_length overlay percent_rank percentile_cont percentile_disc pi
        position pow power radians rank regexp_instr regexp_replace regexp_substr repeat reverse round row_number rpad rtrim
        sign sin sqrt stddev stddev_pop stddev_samp substr substring sum tan translate trim truncate upper var_pop var_samp
        variance version xmlelement
        """)

    private static let postgresql = names(
        """
        array array_agg array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position
        array_positions array_prepend array_remove array_replace array_to_json array_to_string array_upper age
        bool_and bool_or btrim bytea cardinality cbrt clock_timestamp convert_from convert_to corr covar_pop covar_samp
        current_database current_schema current_schemas current_setting date_bin date_part date_trunc decode div encode every
        factorial format format_type gcd gen_random_uuid generate_series generate_subscripts get_bit get_byte grouping
        has_column_privilege has_database_privilege has_schema_privilege has_table_privilege host inet initcap int2 int4 int8
        int4range int8range isempty isfinite json_agg json_array_elements json_array_elements_text json_array_length
        json_build_array json_build_object json_each json_each_text json_extract_path json_extract_path_text json_object
        json_object_agg json_object_keys json_strip_nulls json_to_record json_to_recordset json_typeof jsonb jsonb_agg
        jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
        jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg
        jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first
        jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours
        justify_interval lcm lower_inc lower_inf make_date make_interval make_time make_timestamp make_timestamptz
        masklen mode network num_nonnulls num_nulls numrange obj_description parse_ident pg_backend_pid pg_column_size
        pg_database_size pg_get_constraintdef pg_get_expr pg_get_indexdef pg_get_viewdef pg_is_in_recovery
        pg_postmaster_start_time pg_relation_size pg_size_pretty pg_sleep pg_table_is_visible pg_table_size
        pg_total_relation_size pg_typeof phraseto_tsquery plainto_tsquery quote_ident quote_literal quote_nullable random
        range_agg range_merge regexp_count regexp_like regexp_match regexp_matches regexp_split_to_array
        regexp_split_to_table regr_slope row_to_json scale session_user set_bit set_byte setweight sha224 sha256 sha384 sha512
        split_part starts_with statement_timestamp strict string_agg string_to_array string_to_table strip strpos text
        timestamptz timetz to_ascii to_char to_date to_hex to_json to_jsonb to_number to_regclass to_regtype to_timestamp
        to_tsquery to_tsvector transaction_timestamp trim_array trim_scale trunc ts_headline ts_rank ts_rank_cd tsrange
        tstzrange txid_current unnest upper_inc upper_inf user values websearch_to_tsquery width_bucket xmlagg xmlforest
        """)

    private static let mysql = names(
        """
        add_months adddate addtime aes_decrypt aes_encrypt against any_value bin bit_count charset coercibility column_get
        compress connection_id conv convert convert_tz crc32 curdate current_user curtime database date_add date_format
        date_sub datediff day dayname dayofmonth dayofweek dayofyear div elt export_set field find_in_set force format
        format_bytes format_pico_time from_base64 from_days from_unixtime get_format group_concat hour if ifnull index
        inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval is_ipv4 is_ipv6 is_uuid isnull json_array
        json_array_append json_array_insert json_arrayagg json_compact json_contains json_contains_path json_depth
        json_detailed json_exists json_extract json_insert json_keys json_length json_loose json_merge json_merge_patch
        json_merge_preserve json_objectagg json_object json_overlaps json_pretty json_query json_quote json_remove
        json_replace json_search json_set json_table json_type json_unquote json_valid json_value key last_day lcase locate
        log2 make_set makedate maketime match median microsecond mid minute month monthname name_const nvl nvl2 oct ord
        password period_add period_diff quarter quote rand rlike schema sec_to_time second session_user sformat sha sha1 sha2
        signed sleep soundex space std str_to_date strcmp subdate substring_index subtime sysdate system_user
        time_format time_to_sec timediff timestampadd timestampdiff to_base64 to_char to_days to_seconds ucase
        uncompress uncompressed_length unhex unix_timestamp unsigned use user utc_date utc_time utc_timestamp uuid uuid_short
        value values week weekday weekofyear weight_string year yearweek
        """)
}
