// What each engine calls its tables, and how one value of one row is changed. Names go into SQL only when the tree has them.

const KINDS = ["table", "partitioned_table", "foreign_table", "virtual_table", "view", "materialized_view"];

/** Tables and views of the namespaces that need not be named, with their columns and keys: three questions, however many there are. */
export async function readTables(db) {
  const [namespaces, relations, columns] = await Promise.all([
    db.catalog("namespaces").toArray(), db.catalog("relations", { kinds: KINDS }).toArray(), db.catalog("columns", { kinds: KINDS }).toArray(),
  ]);
  const near = new Set(namespaces.filter((namespace) => namespace.default).map(({ name }) => name));
  const place = (namespace, relation) => JSON.stringify([namespace, relation]);
  const found = new Map();
  for (const { namespace, name, kind } of relations) {
    if (near.has(namespace)) found.set(place(namespace, name), { name, kind, columns: [], key: [] });
  }
  for (const { namespace, relation, name, type, keyPosition, hidden } of columns) {
    const table = found.get(place(namespace, relation));
    if (table === undefined || hidden) continue;
    table.columns.push({ name, type });
    if (keyPosition !== null) table.key[keyPosition - 1] = name;
  }
  return [...found.values()];
}

/** An engine: its quotes, its placeholders, and what compares two values of which both may be NULL. */
function engine(quote, mark, same) {
  const name = (text) => quote + text.replaceAll(quote, quote + quote) + quote;
  const where = (table, first) => table.key.map((part, index) => `${name(part)} = ${mark(first + index)}`).join(" AND ");
  return {
    /** Parameters: the new value, the key, the value that is shown. */
    update: (table, column) =>
      `UPDATE ${name(table.name)} SET ${name(column)} = ${mark(1)} ` +
      `WHERE ${where(table, 2)} AND ${same(name(column), mark(2 + table.key.length))}`,
    /** Parameters: the key. */
    one: (table) => `SELECT ${table.columns.map((column) => name(column.name)).join(", ")} FROM ${name(table.name)} WHERE ${where(table, 1)}`,
  };
}

export const ENGINES = {
  sqlite: engine('"', () => "?", (column, value) => `${column} IS ${value}`),
  postgresql: engine('"', (number) => `$${number}`, (column, value) => `${column} IS NOT DISTINCT FROM ${value}`),
  mysql: engine("`", () => "?", (column, value) => `${column} <=> ${value}`),
};

/** The table of that name, with a key and with that column. */
export function findTable(tables, name, column) {
  const table = tables.find((each) => each.name === name);
  if (table?.columns.some((each) => each.name === column) && table.key.length > 0) return table;
  throw new Error(table === undefined ? `There is no table ${name}.` : `${name} has no column ${column}, or no key to find a row by.`);
}
