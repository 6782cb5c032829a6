// A page cache (https://sqlite.org/c3ref/pcache_methods2.html) in which pages can be looked at without SQLite.
//
// SQLite's own one has no such call: its xFetch pins a page, and does not tell whether SQLite has it pinned already, so nobody
// else may unpin it. Here a look changes nothing but the mark of a page that was used.
#include "CSQLitePages.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

/// A page, in front of its bytes and of what SQLite keeps with it.
typedef struct {
    sqlite3_pcache_page base;
    uint32_t number;
} page;

/// A place of the table: free where `number` is 0, which no page has.
typedef struct {
    uint32_t number;
    /// Since the hand of the clock has passed.
    bool was_used;
    /// SQLite uses it: it must stay. Here, so that the hand passes without a look at the page.
    bool is_pinned;
    page *page;
} place;

struct litebase_page_table {
    /// A cache of SQLite's own, to which everything goes; then there are no pages here.
    sqlite3_pcache *other;
    litebase_page_view *view;
    int page_size, extra_size;
    unsigned count, pinned_count, count_wanted;
    /// The place that may be freed next.
    unsigned hand;
    /// A power of two, at least twice as many as pages.
    unsigned place_count;
    place *places;
};

typedef litebase_page_table table;

enum {
    // Of the allocator's alignment, so that SQLite's structures behind it are aligned.
    PAGE_BYTE_COUNT = (sizeof(page) + 15) / 16 * 16,
    PLACE_COUNT_AT_FIRST = 64,
    // Where so many pages in a row are in use, nearly all are, and another one is allocated: the size of a cache is a wish.
    SWEPT_COUNT_MAX = 512,
};

static sqlite3_pcache_methods2 theirs;
static _Thread_local litebase_page_view *next_view;

static table *of(sqlite3_pcache *cache) { return (table *)cache; }

// MARK: Places

// Fibonacci hashing: page numbers are dense, and so would places be that follow them.
static unsigned home(const table *table, uint32_t number)
{
    return (uint32_t)(number * 0x9E3779B1u) >> (32 - __builtin_ctz(table->place_count));
}

static unsigned next(const table *table, unsigned index) { return (index + 1) & (table->place_count - 1); }

static place *find(const table *table, uint32_t number)
{
    for (unsigned index = home(table, number);; index = next(table, index)) {
        place *place = &table->places[index];
        // First, since of a log whose index is damaged SQLite may ask for page 0, which there is not.
        if (place->number == 0) return NULL;
        if (place->number == number) return place;
    }
}

static void insert(table *table, place made)
{
    unsigned index = home(table, made.number);
    while (table->places[index].number) index = next(table, index);
    table->places[index] = made;
}

// Those behind it that would not be found any more move up.
static place take(table *table, unsigned index)
{
    place taken = table->places[index];
    for (unsigned other = next(table, index); table->places[other].number; other = next(table, other)) {
        unsigned wanted = home(table, table->places[other].number);
        // It may not stand before its home, all of this in a circle.
        if (((other - wanted) & (table->place_count - 1)) < ((other - index) & (table->place_count - 1))) continue;
        table->places[index] = table->places[other];
        index = other;
    }
    table->places[index] = (place){0};
    return taken;
}

static unsigned index_of(const table *table, const place *place) { return (unsigned)(place - table->places); }

static bool change_places(table *table, unsigned place_count)
{
    unsigned former_count = table->place_count;
    place *former = table->places, *places = sqlite3_malloc64(place_count * sizeof(place));
    if (!places) return false;
    memset(places, 0, place_count * sizeof(place));
    table->places = places;
    table->place_count = place_count;
    table->hand = 0;
    for (unsigned index = 0; index < former_count; index++) {
        if (former[index].number) insert(table, former[index]);
    }
    sqlite3_free(former);
    return true;
}

static bool make_room(table *table)
{
    if (2 * (table->count + 1) <= table->place_count) return true;
    return table->place_count <= UINT32_MAX / 2 && change_places(table, 2 * table->place_count);
}

// After pages have gone: a hand that passes many free places is slow. Without memory they stay as they are.
static void return_room(table *table)
{
    unsigned wanted = table->place_count;
    while (wanted > PLACE_COUNT_AT_FIRST && wanted / 8 >= table->count + 1) wanted /= 2;
    if (wanted < table->place_count) change_places(table, wanted);
}

// MARK: Pages

static void drop(table *table, unsigned index)
{
    place dropped = take(table, index);
    if (dropped.is_pinned) table->pinned_count--;
    table->count--;
    sqlite3_free(dropped.page);
}

// A clock: the first page behind the hand that was not used since the hand has passed it. NULL if all are pinned, or nearly all.
static page *take_unused(table *table)
{
    unsigned pinned_count = 0;
    if (table->pinned_count == table->count) return NULL;
    for (; pinned_count < SWEPT_COUNT_MAX; table->hand = next(table, table->hand)) {
        place *place = &table->places[table->hand];
        if (!place->number) continue;
        if (place->is_pinned) {
            pinned_count++;
            continue;
        }
        if (!place->was_used) {
            table->count--;
            return take(table, table->hand).page;
        }
        place->was_used = false;
        pinned_count = 0;
    }
    return NULL;
}

static char *bytes_of(page *page) { return (char *)page + PAGE_BYTE_COUNT; }

static page *allocate(const table *table)
{
    page *made = sqlite3_malloc(PAGE_BYTE_COUNT + table->page_size + table->extra_size);
    if (!made) return NULL;
    made->base.pBuf = bytes_of(made);
    made->base.pExtra = bytes_of(made) + table->page_size;
    return made;
}

static void keep_to_count(table *table)
{
    while (table->count > table->count_wanted) {
        page *unused = take_unused(table);
        if (!unused) return;
        sqlite3_free(unused);
    }
}

static page *page_of(sqlite3_pcache_page *base) { return (page *)base; }

// MARK: The methods

static void destroy(sqlite3_pcache *cache)
{
    table *table = of(cache);
    if (table->other) theirs.xDestroy(table->other);
    if (table->view) table->view->table = NULL;
    for (unsigned index = 0; index < table->place_count; index++) sqlite3_free(table->places[index].page);
    sqlite3_free(table->places);
    sqlite3_free(table);
}

static sqlite3_pcache *create(int page_size, int extra_size, int is_purgeable)
{
    table *made = sqlite3_malloc(sizeof *made);
    if (!made) return NULL;
    *made = (table){.page_size = page_size, .extra_size = extra_size, .count_wanted = 100};
    if (!next_view || !is_purgeable) {
        made->other = theirs.xCreate(page_size, extra_size, is_purgeable);
        if (made->other) return (sqlite3_pcache *)made;
        sqlite3_free(made);
        return NULL;
    }
    made->places = sqlite3_malloc(PLACE_COUNT_AT_FIRST * sizeof(place));
    if (!made->places) {
        sqlite3_free(made);
        return NULL;
    }
    memset(made->places, 0, PLACE_COUNT_AT_FIRST * sizeof(place));
    made->place_count = PLACE_COUNT_AT_FIRST;
    if (next_view->table) next_view->table->view = NULL;
    made->view = next_view;
    next_view->table = made;
    return (sqlite3_pcache *)made;
}

static void resize(sqlite3_pcache *cache, int page_count)
{
    table *table = of(cache);
    if (table->other) return theirs.xCachesize(table->other, page_count);
    table->count_wanted = page_count > 0 ? (unsigned)page_count : 0;
    keep_to_count(table);
    return_room(table);
}

static int page_count(sqlite3_pcache *cache)
{
    return of(cache)->other ? theirs.xPagecount(of(cache)->other) : (int)of(cache)->count;
}

static sqlite3_pcache_page *fetch(sqlite3_pcache *cache, unsigned number, int may_create)
{
    table *table = of(cache);
    if (table->other) return theirs.xFetch(table->other, number, may_create);
    place *known = find(table, number);
    if (known) {
        known->was_used = true;
        if (!known->is_pinned) {
            known->is_pinned = true;
            table->pinned_count++;
        }
        return &known->page->base;
    }
    // 1: only if it is easy; SQLite writes pages out otherwise, and asks again with 2.
    if (!may_create || !number || (may_create == 1 && table->pinned_count >= table->count_wanted / 10 * 9 + 1)) return NULL;
    page *made = NULL;
    if (table->count >= table->count_wanted) made = take_unused(table);
    if (!made && make_room(table)) made = allocate(table);
    // There is no memory: any page that is not in use will do.
    if (!made) made = take_unused(table);
    if (!made) return NULL;
    made->number = number;
    *(void **)made->base.pExtra = NULL;
    insert(table, (place){.number = number, .was_used = true, .is_pinned = true, .page = made});
    table->count++;
    table->pinned_count++;
    return &made->base;
}

static void unpin(sqlite3_pcache *cache, sqlite3_pcache_page *base, int is_useless)
{
    table *table = of(cache);
    if (table->other) return theirs.xUnpin(table->other, base, is_useless);
    place *known = find(table, page_of(base)->number);
    if (is_useless || table->count > table->count_wanted) {
        drop(table, index_of(table, known));
    } else if (known->is_pinned) {
        known->is_pinned = false;
        table->pinned_count--;
    }
}

static void rekey(sqlite3_pcache *cache, sqlite3_pcache_page *base, unsigned former, unsigned number)
{
    table *table = of(cache);
    if (table->other) return theirs.xRekey(table->other, base, former, number);
    place *there = find(table, number);
    if (there && there->page != page_of(base)) drop(table, index_of(table, there));
    place moved = take(table, index_of(table, find(table, former)));
    moved.number = moved.page->number = number;
    insert(table, moved);
}

static void truncate_from(sqlite3_pcache *cache, unsigned limit)
{
    table *table = of(cache);
    if (table->other) return theirs.xTruncate(table->other, limit);
    // What moves up comes from behind, and is looked at next; only from the beginning to the end of the table does something move that
    // was looked at.
    for (unsigned index = 0; table->count && index < table->place_count; index++) {
        while (table->places[index].number >= limit && table->places[index].number) drop(table, index);
    }
}

static void shrink(sqlite3_pcache *cache)
{
    table *table = of(cache);
    if (table->other) return theirs.xShrink(table->other);
    for (unsigned index = 0; index < table->place_count; index++) {
        while (table->places[index].number && !table->places[index].is_pinned) drop(table, index);
    }
    return_room(table);
}

int litebase_keep_pages(void)
{
    int result = sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &theirs);
    if (result != SQLITE_OK) return result;
    sqlite3_pcache_methods2 methods = theirs;
    methods.xCreate = create;
    methods.xCachesize = resize;
    methods.xPagecount = page_count;
    methods.xFetch = fetch;
    methods.xUnpin = unpin;
    methods.xRekey = rekey;
    methods.xTruncate = truncate_from;
    methods.xDestroy = destroy;
    methods.xShrink = shrink;
    return sqlite3_config(SQLITE_CONFIG_PCACHE2, &methods);
}

// MARK: Views

void litebase_view_next_pages(litebase_page_view *view) { next_view = view; }

void litebase_end_page_view(litebase_page_view *view)
{
    if (view->table) view->table->view = NULL;
    view->table = NULL;
}

int litebase_page_byte_count(const litebase_page_view *view) { return view->table ? view->table->page_size : 0; }

const void *litebase_page(const litebase_page_view *view, uint32_t number)
{
    if (!view->table || number == 0) return NULL;
    place *known = find(view->table, number);
    if (!known) return NULL;
    known->was_used = true;
    // Not by the pointer in the page's structure, which the processor would have to fetch.
    return bytes_of(known->page);
}
