// What SQLite keeps in page caches and temporary files, charged to users.
#pragma once

/// Charges the pages of a cache to whom the thread worked for that made it, not to who reads one first: a connection that all
/// share has a cache that all share. Before sqlite3_initialize; SQLite's result code.
int litebase_charge_page_caches(void);

/// Charges temporary files (temporary tables, sorting, statement journals) to whom the thread works for that opens them. Becomes
/// the default VFS, on top of the former one, to which all other files are left. After sqlite3_initialize; SQLite's result code.
int litebase_charge_temporary_files(void);
