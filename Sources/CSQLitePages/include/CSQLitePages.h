// SQLite's page cache for connections whose pages the daemon looks into.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct litebase_page_table litebase_page_table;

/// The pages that one connection has in memory. Belongs to the connection; `table` is NULL while they cannot be looked into.
typedef struct {
    litebase_page_table *table;
} litebase_page_view;

/// Takes the place of SQLite's page cache, which all caches keep that no view is made of. To be called before sqlite3_initialize;
/// returns SQLite's result code.
int litebase_keep_pages(void);

/// The caches that this thread has SQLite make from now on are tables, and the last one of them is what `view` shows; NULL ends
/// that. Meant for the opening of one connection, which makes one cache, and another one when it has learnt the size of the
/// file's pages.
void litebase_view_next_pages(litebase_page_view *view);

/// Ends a view whose connection may have it still. Afterwards its memory may be released.
void litebase_end_page_view(litebase_page_view *view);

/// How many bytes a page has; 0 while the view shows nothing.
int litebase_page_byte_count(const litebase_page_view *view);

/// The bytes of a page that is in memory; NULL for another one.
///
/// Within a read transaction of the connection they are those that its statements would see. They stay as they are until SQLite is
/// called for that connection.
/// - Thread: that of the connection.
const void *litebase_page(const litebase_page_view *view, uint32_t number);
