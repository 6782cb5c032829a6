// What the daemon needs of libmariadb, the client library of MariaDB and MySQL, which is opened at run time: a daemon
// without such a database does not load it (nor OpenSSL behind it), and does not need it installed.
//
// Declarations follow mysql.h of MariaDB Connector/C 3.3, whose binary interface is that of libmariadb.so.3 (2017).
// Functions have the names of libmariadb's without "mysql_"; they must not be called before cmariadb_load has succeeded.
//
// Source: https://mariadb.com/kb/en/mariadb-connector-c/, https://mariadb.com/kb/en/non-blocking-client-library/
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct st_mysql my_connection;
typedef struct st_mysql_res my_result;
typedef struct st_mysql_stmt my_statement;
/// One row of a text result: a pointer for each column, NULL for NULL.
typedef char **my_row;
typedef char my_flag;

/// MYSQL_FIELD.
typedef struct {
    char *name, *org_name, *table, *org_table, *db, *catalog, *def;
    unsigned long length, max_length;
    unsigned int name_length, org_name_length, table_length, org_table_length, db_length, catalog_length, def_length;
    unsigned int flags, decimals, charsetnr;
    unsigned int type;
    void *extension;
} my_field;

/// MYSQL_BIND.
typedef struct {
    unsigned long *length;
    my_flag *is_null;
    void *buffer;
    my_flag *error;
    void *indicator;
    void *internal[3];
    unsigned long buffer_length, offset, length_value;
    unsigned int flags, pack_length, buffer_type;
    my_flag error_value, is_unsigned, long_data_used, is_null_value;
    void *extension;
} my_bind;

/// MYSQL_TIME.
typedef struct {
    unsigned int year, month, day, hour, minute, second;
    unsigned long second_part;
    my_flag is_negative;
    int kind;
} my_time;

/// MARIADB_CONST_STRING.
typedef struct {
    const char *start;
    size_t length;
} my_text;

// enum mysql_option.
#define MY_OPT_CONNECT_TIMEOUT 0
#define MY_READ_DEFAULT_FILE 4
#define MY_READ_DEFAULT_GROUP 5
#define MY_SET_CHARSET_NAME 7
#define MY_OPT_LOCAL_INFILE 8
#define MY_OPT_READ_TIMEOUT 11
#define MY_OPT_WRITE_TIMEOUT 12
#define MY_OPT_RECONNECT 20
#define MY_OPT_SSL_VERIFY_SERVER_CERT 21
#define MY_OPT_SSL_KEY 25
#define MY_OPT_SSL_CERT 26
#define MY_OPT_SSL_CA 27
#define MY_OPT_SSL_CAPATH 28
#define MY_OPT_SSL_CIPHER 29
#define MY_OPT_SSL_CRL 30
#define MY_OPT_CONNECT_ATTR_ADD 33
#define MY_OPT_SSL_ENFORCE 38
#define MY_OPT_TLS_VERSION 41
#define MY_OPT_NONBLOCK 6000
#define MY_OPT_TLS_PEER_FP 7006
#define MY_OPT_RESTRICTED_AUTH 7026
// enum mariadb_value.
#define MY_CONNECTION_SERVER_STATUS 30
// Flags of the client, and of the server's status (mariadb_com.h).
#define MY_CLIENT_FOUND_ROWS 2
#define MY_CLIENT_MULTI_RESULTS 131072
#define MY_STATUS_IN_TRANS 1
#define MY_STATUS_AUTOCOMMIT 2
#define MY_STATUS_MORE_RESULTS 8
#define MY_STATUS_IN_TRANS_READONLY 8192
// enum enum_mysql_set_option.
#define MY_MULTI_STATEMENTS_OFF 1
// What a non-blocking call waits for.
#define MY_WAIT_READ 1
#define MY_WAIT_WRITE 2
#define MY_WAIT_EXCEPT 4
#define MY_WAIT_TIMEOUT 8
// Results of mysql_stmt_fetch.
#define MY_NO_DATA 100
#define MY_DATA_TRUNCATED 101
// enum mariadb_field_attr_t.
#define MY_ATTRIBUTE_TYPE_NAME 0
#define MY_ATTRIBUTE_FORMAT_NAME 1

/// Opens libmariadb.so.3, once in a process. Thread: any.
/// Returns NULL when it is there, else what dlopen(3) says.
const char *cmariadb_load(void);

/// Makes every request of the server for a local file fail, whatever the options say (LOAD DATA LOCAL INFILE).
void cmariadb_refuse_local_files(my_connection *connection);

/// Ends a connection's traffic, so that nothing on it waits any more (shutdown(2)).
void cmariadb_shutdown(my_connection *connection);

/// Bytes that cmariadb_format_float may write at most.
enum { CMARIADB_FLOAT_BYTE_COUNT_MAX = 96 };

/// Writes a FLOAT as the server does in results of text: with `decimals` digits behind the point, and with six digits in
/// all where that number is 31 or more (not fixed). Returns the number of bytes written, without a terminating NUL.
size_t cmariadb_format_float(float value, unsigned int decimals, char *target);

/// Bytes that cmariadb_format_double may write at most: the 309 digits of the greatest number, and 30 behind the point.
enum { CMARIADB_DOUBLE_BYTE_COUNT_MAX = 352 };

/// Writes a DOUBLE as the server does in results of text where the number of digits behind the point is fixed, below 31.
size_t cmariadb_format_double(double value, unsigned int decimals, char *target);

// Returned type, name here, parameters with names, names alone.
#define CMARIADB_FUNCTIONS(X)                                                                                          \
    X(int, server_init, (int argc, char **argv, char **groups), (argc, argv, groups))                                  \
    X(my_connection *, init, (my_connection * c), (c))                                                                 \
    X(int, options, (my_connection * c, unsigned int option, const void *value), (c, option, value))                   \
    X(int, options4, (my_connection * c, unsigned int option, const void *key, const void *value),                     \
      (c, option, key, value))                                                                                         \
    X(my_connection *, real_connect,                                                                                   \
      (my_connection * c, const char *host, const char *user, const char *password, const char *database,              \
       unsigned int port, const char *socket, unsigned long flags),                                                    \
      (c, host, user, password, database, port, socket, flags))                                                        \
    X(void, close, (my_connection * c), (c))                                                                           \
    X(const char *, error, (my_connection * c), (c))                                                                   \
    X(const char *, sqlstate, (my_connection * c), (c))                                                                \
    X(char *, get_server_info, (my_connection * c), (c))                                                               \
    X(int, set_server_option, (my_connection * c, unsigned int option), (c, option))                                   \
    X(const char *, get_ssl_cipher, (my_connection * c), (c))                                                          \
    X(int, get_socket, (my_connection * c), (c))                                                                       \
    X(unsigned long, thread_id, (my_connection * c), (c))                                                              \
    X(unsigned int, field_count, (my_connection * c), (c))                                                             \
    X(unsigned long long, affected_rows, (my_connection * c), (c))                                                     \
    X(unsigned long long, insert_id, (my_connection * c), (c))                                                         \
    X(my_flag, more_results, (my_connection * c), (c))                                                                 \
    X(int, real_query, (my_connection * c, const char *sql, unsigned long length), (c, sql, length))                   \
    X(my_result *, store_result, (my_connection * c), (c))                                                             \
    X(my_result *, use_result, (my_connection * c), (c))                                                               \
    X(my_row, fetch_row, (my_result * r), (r))                                                                         \
    X(unsigned long *, fetch_lengths, (my_result * r), (r))                                                            \
    X(unsigned int, num_fields, (my_result * r), (r))                                                                  \
    X(my_field *, fetch_fields, (my_result * r), (r))                                                                  \
    X(void, free_result, (my_result * r), (r))                                                                         \
    X(int, real_query_start, (int *value, my_connection *c, const char *sql, unsigned long length),                    \
      (value, c, sql, length))                                                                                         \
    X(int, real_query_cont, (int *value, my_connection *c, int status), (value, c, status))                            \
    X(int, fetch_row_start, (my_row * value, my_result * r), (value, r))                                               \
    X(int, fetch_row_cont, (my_row * value, my_result * r, int status), (value, r, status))                            \
    X(int, next_result_start, (int *value, my_connection *c), (value, c))                                              \
    X(int, next_result_cont, (int *value, my_connection *c, int status), (value, c, status))                           \
    X(int, change_user_start,                                                                                          \
      (my_flag * value, my_connection *c, const char *user, const char *password, const char *database),               \
      (value, c, user, password, database))                                                                            \
    X(int, change_user_cont, (my_flag * value, my_connection *c, int status), (value, c, status))                      \
    X(my_statement *, stmt_init, (my_connection * c), (c))                                                             \
    X(unsigned int, stmt_errno, (my_statement * s), (s))                                                               \
    X(const char *, stmt_error, (my_statement * s), (s))                                                               \
    X(const char *, stmt_sqlstate, (my_statement * s), (s))                                                            \
    X(unsigned long, stmt_param_count, (my_statement * s), (s))                                                        \
    X(unsigned int, stmt_field_count, (my_statement * s), (s))                                                         \
    X(unsigned long long, stmt_affected_rows, (my_statement * s), (s))                                                 \
    X(unsigned long long, stmt_insert_id, (my_statement * s), (s))                                                     \
    X(my_result *, stmt_result_metadata, (my_statement * s), (s))                                                      \
    X(my_flag, stmt_bind_param, (my_statement * s, my_bind * binds), (s, binds))                                       \
    X(int, stmt_fetch_column, (my_statement * s, my_bind * target, unsigned int column, unsigned long offset),         \
      (s, target, column, offset))                                                                                     \
    X(my_flag, stmt_more_results, (my_statement * s), (s))                                                             \
    X(my_flag, stmt_close, (my_statement * s), (s))                                                                    \
    X(int, stmt_prepare_start, (int *value, my_statement *s, const char *sql, unsigned long length),                   \
      (value, s, sql, length))                                                                                         \
    X(int, stmt_prepare_cont, (int *value, my_statement *s, int status), (value, s, status))                           \
    X(int, stmt_execute_start, (int *value, my_statement *s), (value, s))                                              \
    X(int, stmt_execute_cont, (int *value, my_statement *s, int status), (value, s, status))                           \
    X(int, stmt_fetch_start, (int *value, my_statement *s), (value, s))                                                \
    X(int, stmt_fetch_cont, (int *value, my_statement *s, int status), (value, s, status))                             \
    X(int, stmt_next_result_start, (int *value, my_statement *s), (value, s))                                          \
    X(int, stmt_next_result_cont, (int *value, my_statement *s, int status), (value, s, status))                       \
    X(int, stmt_close_start, (my_flag * value, my_statement * s), (value, s))                                          \
    X(int, stmt_close_cont, (my_flag * value, my_statement * s, int status), (value, s, status))

#define CMARIADB_MEMBER(type, name, parameters, arguments) type(*name) parameters;
struct cmariadb_table {
    CMARIADB_FUNCTIONS(CMARIADB_MEMBER)
    // Names that are other ones than the library's.
    unsigned int (*error_number)(my_connection *c);
    my_flag (*get_info)(my_connection *c, unsigned int value, void *target);
    int (*field_attr)(my_text *target, const my_field *field, unsigned int attribute);
    // Takes functions, which Swift has no use for.
    void (*set_local_infile_handler)(my_connection *c, int (*init)(void **, const char *, void *),
                                     int (*read)(void *, char *, unsigned int), void (*end)(void *),
                                     int (*error)(void *, char *, unsigned int), void *userdata);
};
extern struct cmariadb_table cmariadb_table;

#define CMARIADB_CALL(type, name, parameters, arguments)                                                               \
    static inline type my_##name parameters { return cmariadb_table.name arguments; }
CMARIADB_FUNCTIONS(CMARIADB_CALL)

/// mysql_errno: a macro of <errno.h> has that name too.
static inline unsigned int my_error_number(my_connection *c) { return cmariadb_table.error_number(c); }

/// Flags of the server's status after the last answer.
static inline unsigned int my_server_status(my_connection *c) {
    unsigned int status = 0;
    cmariadb_table.get_info(c, MY_CONNECTION_SERVER_STATUS, &status);
    return status;
}

/// What the server adds to a column's type; empty where it adds nothing.
static inline my_text my_field_attribute(const my_field *field, unsigned int attribute) {
    my_text text = {NULL, 0};
    cmariadb_table.field_attr(&text, field, attribute);
    return text;
}
