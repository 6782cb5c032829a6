// What each engine calls its tables, and how one value of one row is changed. Names go into SQL only when the tree has them.

const SQLITE = `
  SELECT m.name, m.type, c.name, c.type, c.pk FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c
  WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name, c.cid`;
const POSTGRESQL = `
  SELECT r.relname, CASE r.relkind WHEN 'v' THEN 'view' ELSE 'table' END, a.attname, format_type(a.atttypid, a.atttypmod),
    COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0)
  FROM pg_class AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index AS i ON i.indrelid = r.oid AND i.indisprimary
  WHERE r.relkind IN ('r', 'p', 'v') AND r.relnamespace = current_schema()::regnamespace ORDER BY r.relname, a.attnum`;
const MYSQL = `
  SELECT c.table_name, IF(t.table_type = 'VIEW', 'view', 'table'), c.column_name, c.column_type, COALESCE(k.ordinal_position, 0)
  FROM information_schema.columns AS c
    JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    LEFT JOIN information_schema.key_column_usage AS k ON k.table_schema = c.table_schema AND k.table_name = c.table_name
      AND k.column_name = c.column_name AND k.constraint_name = 'PRIMARY'
  WHERE c.table_schema = DATABASE() ORDER BY c.table_name, c.ordinal_position`;

/** An engine: its catalog, its quotes, its placeholders, and what compares two values of which both may be NULL. */
function engine(catalog, quote, mark, same) {
  const name = (text) => quote + text.replaceAll(quote, quote + quote) + quote;
  const where = (table, first) => table.key.map((part, index) => `${name(part)} = ${mark(first + index)}`).join(" AND ");
  return {
    async tables(db) {
      const { rows } = await db.query(catalog, [], { rowMode: "array" });
      const found = new Map();
      for (const [tableName, kind, column, type, place] of rows) {
        const table = found.get(tableName) ?? { name: tableName, kind, columns: [], key: [] };
        found.set(tableName, table);
        table.columns.push({ name: column, type });
        if (place > 0) table.key[place - 1] = column;
      }
      return [...found.values()];
    },
    /** Parameters: the new value, the key, the value that is shown. */
    update: (table, column) =>
      `UPDATE ${name(table.name)} SET ${name(column)} = ${mark(1)} ` +
      `WHERE ${where(table, 2)} AND ${same(name(column), mark(2 + table.key.length))}`,
    /** Parameters: the key. */
    one: (table) => `SELECT ${table.columns.map((column) => name(column.name)).join(", ")} FROM ${name(table.name)} WHERE ${where(table, 1)}`,
  };
}

export const ENGINES = {
  sqlite: engine(SQLITE, '"', () => "?", (column, value) => `${column} IS ${value}`),
  postgresql: engine(POSTGRESQL, '"', (number) => `$${number}`, (column, value) => `${column} IS NOT DISTINCT FROM ${value}`),
  mysql: engine(MYSQL, "`", () => "?", (column, value) => `${column} <=> ${value}`),
};

/** The table of that name, with a key and with that column. */
export function findTable(tables, name, column) {
  const table = tables.find((each) => each.name === name);
  if (table?.columns.some((each) => each.name === column) && table.key.length > 0) return table;
  throw new Error(table === undefined ? `There is no table ${name}.` : `${name} has no column ${column}, or no key to find a row by.`);
}
