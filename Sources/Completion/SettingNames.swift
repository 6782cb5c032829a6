// Settings of each dialect, with the values that they have where these are few.
//
// - Source: https://www.sqlite.org/pragma.html; PostgreSQL 15, chapter 20; https://mariadb.com/kb/en/server-system-variables/

enum SettingNames {
    struct Setting: Sendable {
        var name: String
        var values: [String]
    }

    /// `name value value`, one a line; `~` is a blank in a value.
    private static func settings(_ text: String) -> [Setting] {
        text.split(separator: "\n").map { line in
            let words = line.split(separator: " ").map(String.init)
            let values = words.dropFirst().map { value in String(value.map { $0 == "~" ? " " : $0 }) }
            return Setting(name: words[0], values: values)
        }
    }

    /// TABLE and INDEX stand for the names of such.
    static let pragmas = settings(
        """
        analysis_limit
        application_id
        auto_vacuum NONE FULL INCREMENTAL
        automatic_index ON OFF
        busy_timeout
        cache_size
        cache_spill ON OFF
        case_sensitive_like ON OFF
        cell_size_check ON OFF
        checkpoint_fullfsync ON OFF
        collation_list
        compile_options
        data_version
        database_list
        defer_foreign_keys ON OFF
        encoding 'UTF-8' 'UTF-16' 'UTF-16le' 'UTF-16be'
        foreign_key_check TABLE
        foreign_key_list TABLE
        foreign_keys ON OFF
        freelist_count
        fullfsync ON OFF
        function_list
        hard_heap_limit
        ignore_check_constraints ON OFF
        incremental_vacuum
        index_info INDEX
        index_list TABLE
        index_xinfo INDEX
        integrity_check TABLE
        journal_mode WAL DELETE TRUNCATE PERSIST MEMORY OFF
        journal_size_limit
        legacy_alter_table ON OFF
        locking_mode NORMAL EXCLUSIVE
        max_page_count
        mmap_size
        module_list
        optimize
        page_count
        page_size 4096 1024 2048 8192 16384 32768 65536 512
        pragma_list
        query_only ON OFF
        quick_check TABLE
        read_uncommitted ON OFF
        recursive_triggers ON OFF
        reverse_unordered_selects ON OFF
        schema_version
        secure_delete ON OFF FAST
        shrink_memory
        soft_heap_limit
        synchronous NORMAL FULL EXTRA OFF
        table_info TABLE
        table_list TABLE
        table_xinfo TABLE
        temp_store DEFAULT FILE MEMORY
        threads
        trusted_schema ON OFF
        user_version
        wal_autocheckpoint
        wal_checkpoint PASSIVE FULL RESTART TRUNCATE
        writable_schema ON OFF RESET
        """)

    static let postgresql = settings(
        """
        application_name
        backslash_quote on off safe_encoding
        bytea_output hex escape
        check_function_bodies on off
        client_encoding UTF8 LATIN1 SQL_ASCII
        client_min_messages debug log notice warning error
        commit_delay
        constraint_exclusion partition on off
        cursor_tuple_fraction
        datestyle ISO Postgres SQL German
        deadlock_timeout
        default_statistics_target
        default_tablespace
        default_transaction_deferrable on off
        default_transaction_isolation 'read~committed' 'repeatable~read' serializable
        default_transaction_read_only on off
        effective_cache_size
        effective_io_concurrency
        enable_bitmapscan on off
        enable_hashagg on off
        enable_hashjoin on off
        enable_indexonlyscan on off
        enable_indexscan on off
        enable_material on off
        enable_mergejoin on off
        enable_nestloop on off
        enable_seqscan on off
        enable_sort on off
        escape_string_warning on off
        extra_float_digits
        force_parallel_mode on off
        from_collapse_limit
        geqo on off
        idle_in_transaction_session_timeout
        idle_session_timeout
        intervalstyle postgres iso_8601 sql_standard postgres_verbose
        jit on off
        join_collapse_limit
        lc_messages
        lc_monetary
        lc_numeric
        lc_time
        lock_timeout
        log_min_duration_statement
        log_statement none ddl mod all
        maintenance_work_mem
        max_parallel_workers
        max_parallel_workers_per_gather
        parallel_leader_participation on off
        parallel_setup_cost
        parallel_tuple_cost
        plan_cache_mode auto force_custom_plan force_generic_plan
        quote_all_identifiers on off
        random_page_cost
        role
        row_security on off
        search_path
        seq_page_cost
        session_replication_role origin replica local
        standard_conforming_strings on off
        statement_timeout
        synchronize_seqscans on off
        synchronous_commit on off local remote_write remote_apply
        temp_buffers
        temp_tablespaces
        timezone UTC
        track_io_timing on off
        transaction_isolation
        transaction_read_only on off
        transform_null_equals on off
        vacuum_cost_delay
        work_mem
        xmlbinary base64 hex
        xmloption content document
        """)

    static let mysql = settings(
        """
        auto_increment_increment
        auto_increment_offset
        autocommit ON OFF
        big_tables ON OFF
        bulk_insert_buffer_size
        character_set_client utf8mb4 latin1 binary
        character_set_connection utf8mb4 latin1 binary
        character_set_database
        character_set_results utf8mb4 latin1 binary
        character_set_server
        collation_connection utf8mb4_general_ci utf8mb4_unicode_ci utf8mb4_bin
        collation_database
        collation_server
        completion_type NO_CHAIN CHAIN RELEASE
        default_storage_engine InnoDB MyISAM Aria MEMORY
        div_precision_increment
        event_scheduler ON OFF
        foreign_key_checks ON OFF
        general_log ON OFF
        group_concat_max_len
        innodb_buffer_pool_size
        innodb_flush_log_at_trx_commit 0 1 2
        innodb_lock_wait_timeout
        innodb_strict_mode ON OFF
        interactive_timeout
        join_buffer_size
        last_insert_id
        lc_time_names
        local_infile ON OFF
        lock_wait_timeout
        long_query_time
        max_allowed_packet
        max_connections
        max_execution_time
        max_heap_table_size
        max_join_size
        max_recursive_iterations
        max_sort_length
        max_statement_time
        net_read_timeout
        net_write_timeout
        optimizer_switch
        profiling ON OFF
        query_cache_type ON OFF DEMAND
        read_only ON OFF
        slow_query_log ON OFF
        sort_buffer_size
        sql_auto_is_null ON OFF
        sql_big_selects ON OFF
        sql_log_bin ON OFF
        sql_mode
        sql_notes ON OFF
        sql_quote_show_create ON OFF
        sql_safe_updates ON OFF
        sql_select_limit
        sql_warnings ON OFF
        storage_engine
        system_versioning_asof
        thread_cache_size
        time_zone
        timestamp
        tmp_table_size
        transaction_isolation
        transaction_read_only ON OFF
        tx_isolation
        tx_read_only ON OFF
        unique_checks ON OFF
        version
        version_comment
        wait_timeout
        """)
}
