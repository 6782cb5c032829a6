// SQLite's page caches and temporary files, charged to users.
#pragma once

/// Charges the pages of a cache to the account for which the thread worked that made the cache, not to the first reader
/// of a page: a shared connection has a shared cache. To be called before sqlite3_initialize; returns SQLite's result
/// code.
int litebase_charge_page_caches(void);

/// Charges temporary files (temporary tables, sorting, statement journals) to the account for which the thread works
/// that opens them. Becomes the default VFS, over the former one, which gets all other files. To be called after
/// sqlite3_initialize; returns SQLite's result code.
int litebase_charge_temporary_files(void);
