// libmariadb, the client library of MariaDB and MySQL, which is opened at run time: a daemon without such a database does not
// load it (nor OpenSSL behind it), and does not need it installed.
//
// Types, constants and functions are those of mysql.h of MariaDB Connector/C (Debian: libmariadb-dev). The functions are
// reached through cmariadb_table, which cmariadb_load fills; called by their names alone, they would need libmariadb when the
// program is linked, and the linker would say so.
//
// Source: https://mariadb.com/kb/en/mariadb-connector-c/, https://mariadb.com/kb/en/non-blocking-client-library/
#pragma once
#include <mariadb/mysql.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

/// Opens libmariadb.so.3, once in a process. Thread: any.
/// Returns NULL when it is there, else what dlopen(3) says.
const char *_Nullable cmariadb_load(void);

/// Makes every request of the server for a local file fail, whatever the options say (LOAD DATA LOCAL INFILE).
void cmariadb_refuse_local_files(MYSQL *connection);

/// Ends a connection's traffic, so that nothing on it waits any more (shutdown(2)).
void cmariadb_shutdown(MYSQL *connection);

/// Bytes that cmariadb_format_float may write at most.
enum { CMARIADB_FLOAT_BYTE_COUNT_MAX = 96 };

/// Writes a FLOAT as the server does in results of text: with `decimals` digits behind the point, and with six digits in
/// all where that number is 31 or more (not fixed). Returns the number of bytes written, without a terminating NUL.
size_t cmariadb_format_float(float value, unsigned int decimals, char *target);

/// Bytes that cmariadb_format_double may write at most: the 309 digits of the greatest number, and 30 behind the point.
enum { CMARIADB_DOUBLE_BYTE_COUNT_MAX = 352 };

/// Writes a DOUBLE as the server does in results of text where the number of digits behind the point is fixed, below 31.
size_t cmariadb_format_double(double value, unsigned int decimals, char *target);

// The functions that are called.
#define CMARIADB_FUNCTIONS(X)                                                                                          \
    X(mysql_server_init) X(mysql_init) X(mysql_options) X(mysql_options4) X(mysql_real_connect) X(mysql_close)         \
    X(mysql_errno) X(mysql_error) X(mysql_sqlstate) X(mysql_get_server_info) X(mysql_set_server_option)                \
    X(mysql_get_ssl_cipher) X(mysql_get_socket) X(mysql_thread_id) X(mysql_field_count) X(mysql_affected_rows)         \
    X(mysql_insert_id) X(mysql_more_results) X(mysql_real_query) X(mysql_store_result) X(mysql_use_result)             \
    X(mysql_fetch_row) X(mysql_fetch_lengths) X(mysql_num_fields) X(mysql_fetch_fields) X(mysql_free_result)           \
    X(mysql_real_query_start) X(mysql_real_query_cont) X(mysql_fetch_row_start) X(mysql_fetch_row_cont)                \
    X(mysql_next_result_start) X(mysql_next_result_cont) X(mysql_change_user_start) X(mysql_change_user_cont)          \
    X(mysql_stmt_init) X(mysql_stmt_errno) X(mysql_stmt_error) X(mysql_stmt_sqlstate) X(mysql_stmt_param_count)        \
    X(mysql_stmt_result_metadata) X(mysql_stmt_bind_param) X(mysql_stmt_fetch_column) X(mysql_stmt_close)              \
    X(mysql_stmt_prepare_start) X(mysql_stmt_prepare_cont) X(mysql_stmt_execute_start) X(mysql_stmt_execute_cont)      \
    X(mysql_stmt_fetch_start) X(mysql_stmt_fetch_cont) X(mysql_stmt_next_result_start) X(mysql_stmt_next_result_cont)  \
    X(mysql_stmt_close_start) X(mysql_stmt_close_cont) X(mariadb_get_info) X(mariadb_field_attr)                       \
    X(mysql_stmt_send_long_data_start) X(mysql_stmt_send_long_data_cont)                                               \
    X(mysql_set_local_infile_handler) X(mysql_warning_count)

struct cmariadb_table {
#define CMARIADB_MEMBER(name) __typeof__(name) *name;
    CMARIADB_FUNCTIONS(CMARIADB_MEMBER)
};
extern struct cmariadb_table cmariadb_table;

/// The functions. They must not be called before cmariadb_load has succeeded; after that the table stays as it is.
static inline const struct cmariadb_table *cmariadb_functions(void) { return &cmariadb_table; }

#pragma clang assume_nonnull end
