// A layer over SQLite's page cache (https://sqlite.org/c3ref/pcache_methods2.html) that knows the account of each
// cache.
#include "CSQLiteAccounts.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "CLinux.h"

typedef struct {
    sqlite3_pcache *inner;
    clinux_account *account;
} owned_cache;

static sqlite3_pcache_methods2 inner;

static sqlite3_pcache *inner_of(sqlite3_pcache *cache) { return ((owned_cache *)cache)->inner; }

static sqlite3_pcache *create(int page_size, int extra_size, int is_purgeable)
{
    owned_cache *cache = sqlite3_malloc(sizeof *cache);
    if (!cache) return NULL;
    cache->account = clinux_worked_for();
    cache->inner = inner.xCreate(page_size, extra_size, is_purgeable);
    if (!cache->inner) {
        sqlite3_free(cache);
        return NULL;
    }
    return (sqlite3_pcache *)cache;
}

// A look-up allocates nothing, and nearly always finds the page.
static sqlite3_pcache_page *fetch(sqlite3_pcache *cache, unsigned number, int may_create)
{
    owned_cache *owned = (owned_cache *)cache;
    sqlite3_pcache_page *page = inner.xFetch(owned->inner, number, 0);
    if (page || !may_create) return page;
    clinux_account *former = clinux_worked_for();
    clinux_work_for(owned->account);
    page = inner.xFetch(owned->inner, number, may_create);
    clinux_work_for(former);
    return page;
}

static void destroy(sqlite3_pcache *cache)
{
    inner.xDestroy(inner_of(cache));
    sqlite3_free(cache);
}

static void resize(sqlite3_pcache *cache, int page_count) { inner.xCachesize(inner_of(cache), page_count); }
static int page_count(sqlite3_pcache *cache) { return inner.xPagecount(inner_of(cache)); }
static void unpin(sqlite3_pcache *cache, sqlite3_pcache_page *page, int discard) { inner.xUnpin(inner_of(cache), page, discard); }
static void rekey(sqlite3_pcache *cache, sqlite3_pcache_page *page, unsigned former, unsigned now)
{
    inner.xRekey(inner_of(cache), page, former, now);
}
static void truncate_from(sqlite3_pcache *cache, unsigned limit) { inner.xTruncate(inner_of(cache), limit); }
static void shrink(sqlite3_pcache *cache) { inner.xShrink(inner_of(cache)); }

int litebase_charge_page_caches(void)
{
    int result = sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &inner);
    if (result != SQLITE_OK) return result;
    sqlite3_pcache_methods2 methods = inner;
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
