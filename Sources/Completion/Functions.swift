// Functions that every database of a dialect has, so that they are proposed before its catalog is known.
//
// - Source: https://www.sqlite.org/lang_corefunc.html and its neighbours; PostgreSQL 15, chapter 9;
//   https://mariadb.com/kb/en/built-in-functions/

enum Functions {
    static func of(_ dialect: CompletionDialect) -> [CompletionRoutine] {
        switch dialect {
        case .sqlite: sqlite
        case .postgresql: postgresql
        case .mysql: mysql
        case .redis: []
        }
    }

    /// Those that stand in FROM.
    static func tables(_ dialect: CompletionDialect) -> [CompletionRoutine] {
        switch dialect {
        case .sqlite: sqliteTables
        case .postgresql: postgresqlTables
        case .mysql: mysqlTables
        case .redis: []
        }
    }

    /// Signatures with white space between them, `_` for a blank within one.
    private static func routines(_ signatures: String) -> [CompletionRoutine] {
        signatures.split(whereSeparator: \.isWhitespace).map { word in
            let name = word.prefix { $0 != "(" }
            return CompletionRoutine(name: String(name), signature: String(word).replacingBlanks())
        }
    }

    private static let sqlite = routines(
        """
        count(X) sum(X) avg(X) min(X,…) max(X,…) total(X) group_concat(X,Y) abs(X) changes() char(X,…) coalesce(X,Y,…) date(time,modifier,…)
        datetime(time,modifier,…) format(FORMAT,…) glob(X,Y) hex(X) ifnull(X,Y) iif(X,Y,Z) instr(X,Y) json(X) json_array(…) json_array_length(X,path)
        json_extract(X,path,…) json_group_array(X) json_group_object(name,value) json_insert(X,path,value) json_object(label,value,…)
        json_patch(T,P) json_quote(X) json_remove(X,path,…) json_replace(X,path,value,…) json_set(X,path,value,…) json_type(X,path)
        json_valid(X) julianday(time,modifier,…) last_insert_rowid() length(X) like(X,Y,Z) likelihood(X,Y) likely(X) lower(X) ltrim(X,Y)
        nullif(X,Y) printf(FORMAT,…) quote(X) random() randomblob(N) replace(X,Y,Z) round(X,Y) row_number() rank() dense_rank()
        percent_rank() cume_dist() ntile(N) lag(X,offset,default) lead(X,offset,default) first_value(X) last_value(X) nth_value(X,N)
        rtrim(X,Y) sign(X) soundex(X) sqlite_version() strftime(format,time,modifier,…) substr(X,Y,Z) substring(X,Y,Z) time(time,modifier,…)
        total_changes() trim(X,Y) typeof(X) unhex(X,Y) unicode(X) unixepoch(time,modifier,…) unlikely(X) upper(X) zeroblob(N) acos(X)
        asin(X) atan(X) atan2(Y,X) ceil(X) cos(X) degrees(X) exp(X) floor(X) ln(X) log(B,X) log10(X) log2(X) mod(X,Y) pi() pow(X,Y)
        power(X,Y) radians(X) sin(X) sqrt(X) tan(X) trunc(X) bm25(table,…) highlight(table,column,before,after)
        snippet(table,column,before,after,ellipsis,tokens)
        """)

    private static let sqliteTables = routines(
        """
        json_each(X,path) json_tree(X,path) generate_series(start,stop,step) pragma_table_info(table) pragma_foreign_key_list(table)
        pragma_index_list(table) pragma_table_xinfo(table) pragma_table_list(table) pragma_index_info(index) pragma_index_xinfo(index)
        pragma_database_list() pragma_function_list() pragma_module_list() pragma_pragma_list() pragma_collation_list()
        pragma_compile_options() pragma_foreign_key_check(table)
        """)

    private static let postgresql = routines(
        """
        count(any) sum(expression) avg(expression) min(any) max(any) array_agg(any) string_agg(value,delimiter) json_agg(any) jsonb_agg(any)
        json_object_agg(key,value) jsonb_object_agg(key,value) bool_and(boolean) bool_or(boolean) every(boolean) abs(x) age(timestamp,timestamp)
        array_append(array,element) array_cat(array,array) array_length(array,dimension) array_position(array,element)
        array_remove(array,element) array_to_string(array,delimiter,null) ascii(text) btrim(text,characters) cardinality(array) ceil(x)
        char_length(text) chr(integer) clock_timestamp() coalesce(value,…) concat(any,…) concat_ws(separator,any,…) cume_dist()
        current_database() current_schema() current_setting(name,missing_ok) currval(regclass) date_part(field,source)
        date_trunc(field,source,zone) decode(string,format) dense_rank() encode(bytes,format) exp(x) first_value(value) floor(x)
        format(formatstr,any,…) grouping(expression,…) gen_random_uuid() greatest(value,…) initcap(text) json_build_array(any,…) json_build_object(any,…)
        jsonb_array_length(jsonb) jsonb_build_array(any,…) jsonb_build_object(any,…) jsonb_path_query(target,path) jsonb_pretty(jsonb)
        jsonb_set(target,path,value,create) jsonb_strip_nulls(jsonb) jsonb_typeof(jsonb) lag(value,offset,default) last_value(value)
        lastval() lead(value,offset,default) least(value,…) left(text,n) length(text) ln(x) log(b,x) lower(text) lpad(text,length,fill)
        ltrim(text,characters) make_date(year,month,day) make_interval(…) md5(text) mod(y,x) nextval(regclass) now() nth_value(value,n)
        ntile(buckets) nullif(value,value) octet_length(text) percent_rank() percentile_cont(fraction) pg_size_pretty(bigint)
        pg_sleep(seconds) pg_total_relation_size(regclass) pg_typeof(any) pi() position(substring_IN_text) power(a,b) quote_ident(text)
        quote_literal(text) random() rank() regexp_match(text,pattern,flags) regexp_matches(text,pattern,flags)
        regexp_replace(text,pattern,replacement,flags) repeat(text,n) replace(text,from,to) reverse(text) right(text,n) round(x,digits)
        row_number() row_to_json(record) rpad(text,length,fill) rtrim(text,characters) setval(regclass,value,is_called) sign(x)
        split_part(text,delimiter,n) sqrt(x) starts_with(text,prefix) statement_timestamp() strpos(text,substring)
        substr(text,from,count) substring(text_FROM_start_FOR_count) to_char(value,format) to_date(text,format) to_json(any) to_jsonb(any)
        to_number(text,format) to_timestamp(text,format) to_tsquery(config,query) to_tsvector(config,document) translate(text,from,to)
        trim(characters_FROM_text) trunc(x,digits) txid_current() unnest(array) upper(text) version() width_bucket(x,low,high,count)
        """)

    private static let postgresqlTables = routines(
        """
        generate_series(start,stop,step) unnest(array,…) json_each(json) jsonb_each(jsonb) jsonb_each_text(jsonb) jsonb_array_elements(jsonb)
        jsonb_array_elements_text(jsonb) jsonb_to_recordset(jsonb) json_to_recordset(json) regexp_split_to_table(text,pattern)
        string_to_table(text,delimiter) jsonb_object_keys(jsonb) json_each_text(json) json_array_elements(json)
        json_array_elements_text(json) json_object_keys(json) json_to_record(json) jsonb_to_record(jsonb) json_populate_record(base,json)
        jsonb_populate_recordset(base,jsonb) generate_subscripts(array,dimension) regexp_matches(text,pattern,flags)
        xmltable(row_PASSING_document_COLUMNS_list)
        """)

    private static let mysql = routines(
        """
        count(expr) sum(expr) avg(expr) min(expr) max(expr) group_concat(expr) abs(x) adddate(date,days) addtime(time,time) ascii(str) bin(n)
        ceil(x) char_length(str) coalesce(value,…) concat(str,…) concat_ws(separator,str,…) connection_id() conv(n,from,to)
        convert_tz(time,from,to) crc32(expr) cume_dist() curdate() curtime() database() date(expr) date_add(date,INTERVAL_expr_unit)
        date_format(date,format) date_sub(date,INTERVAL_expr_unit) datediff(date,date) day(date) dayname(date) dayofmonth(date)
        dayofweek(date) dayofyear(date) dense_rank() elt(n,str,…) exp(x) field(str,str,…) find_in_set(str,list) first_value(expr) floor(x)
        format(x,digits) found_rows() from_unixtime(timestamp,format) grouping(expr,…) greatest(value,…) hex(value) hour(time) if(condition,then,else)
        ifnull(expr,expr) inet_aton(expr) inet_ntoa(expr) instr(str,substr) isnull(expr) json_array(value,…) json_arrayagg(value)
        json_contains(target,candidate,path) json_extract(doc,path,…) json_keys(doc,path) json_length(doc,path) json_merge_patch(doc,doc,…)
        json_object(key,value,…) json_objectagg(key,value) json_remove(doc,path,…) json_replace(doc,path,value,…) json_search(doc,one_or_all,str)
        json_set(doc,path,value,…) json_type(value) json_unquote(value) json_valid(value) json_value(doc,path) lag(expr,offset)
        last_day(date) last_insert_id(expr) last_value(expr) lcase(str) lead(expr,offset) least(value,…) left(str,length) length(str) ln(x)
        locate(substr,str,from) log(b,x) lower(str) lpad(str,length,fill) ltrim(str) makedate(year,day) md5(str) minute(time) mod(n,m)
        month(date) monthname(date) now(precision) nth_value(expr,n) ntile(n) nullif(expr,expr) percent_rank() pi() pow(x,y) quarter(date)
        quote(str) rand(seed) rank() regexp_instr(str,pattern) regexp_replace(str,pattern,replacement) regexp_substr(str,pattern)
        repeat(str,count) replace(str,from,to) reverse(str) right(str,length) round(x,digits) row_count() row_number() rpad(str,length,fill)
        rtrim(str) sec_to_time(seconds) second(time) sha1(str) sha2(str,bits) sign(x) sleep(seconds) sqrt(x) str_to_date(str,format)
        strcmp(str,str) subdate(date,days) substr(str,from,length) substring(str,from,length) substring_index(str,delimiter,count) sysdate()
        time(expr) time_format(time,format) time_to_sec(time) timediff(time,time) timestampadd(unit,n,time) timestampdiff(unit,time,time)
        trim(str) truncate(x,digits) ucase(str) unhex(str) unix_timestamp(date) upper(str) user() utc_date() utc_timestamp() uuid()
        values(column) version() week(date,mode) weekday(date) weekofyear(date) year(date) yearweek(date)
        """)

    /// The columns of a function that stands in FROM, those that `*` leaves out at the end; none where they are not always the same.
    static func columns(of function: String, _ dialect: CompletionDialect) -> [CompletionColumn] {
        switch dialect {
        case .sqlite: sqliteColumns[function.lowercased()] ?? []
        case .postgresql: postgresqlColumns[function] ?? []
        case .mysql, .redis: []
        }
    }

    /// Lines of a function's name and its columns; a minus marks one that `*` leaves out.
    private static func columns(_ lines: String) -> [String: [CompletionColumn]] {
        var found: [String: [CompletionColumn]] = [:]
        for line in lines.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            found[words[0]] = words.dropFirst().map { word in
                word.hasPrefix("-")
                    ? CompletionColumn(String(word.dropFirst()), isHidden: true) : CompletionColumn(word)
            }
        }
        return found
    }

    // - Source: https://www.sqlite.org/json1.html, https://www.sqlite.org/series.html, https://www.sqlite.org/pragma.html
    private static let sqliteColumns = columns(
        """
        json_each key value type atom id parent fullkey path -json -root
        json_tree key value type atom id parent fullkey path -json -root
        generate_series value -start -stop -step
        pragma_table_info cid name type notnull dflt_value pk
        pragma_table_xinfo cid name type notnull dflt_value pk hidden
        pragma_table_list schema name type ncol wr strict
        pragma_foreign_key_list id seq table from to on_update on_delete match
        pragma_foreign_key_check table rowid parent fkid
        pragma_index_list seq name unique origin partial
        pragma_index_info seqno cid name
        pragma_index_xinfo seqno cid name desc coll key
        pragma_database_list seq name file
        pragma_function_list name builtin type enc narg flags
        pragma_module_list name
        pragma_pragma_list name
        pragma_collation_list seq name
        pragma_compile_options compile_options
        """)

    // - Source: https://www.postgresql.org/docs/15/functions-json.html
    private static let postgresqlColumns = columns(
        """
        json_each key value
        jsonb_each key value
        json_each_text key value
        jsonb_each_text key value
        json_array_elements value
        jsonb_array_elements value
        json_array_elements_text value
        jsonb_array_elements_text value
        """)

    private static let mysqlTables = routines("json_table(doc,path_COLUMNS_list)")
}

extension String {
    fileprivate func replacingBlanks() -> String {
        guard let open = firstIndex(of: "(") else { return self }
        return String(self[..<open]) + String(self[open...].map { $0 == "_" ? " " : $0 }).replacingCommas()
    }

    private func replacingCommas() -> String {
        var result = ""
        for character in self {
            result.append(character)
            if character == "," { result.append(" ") }
        }
        return result
    }
}
