package litebase

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// CatalogQuery says what Conn.Catalog shall tell. The columns of each level are the same for every engine: docs/protocol.md, Catalog.
type CatalogQuery struct {
	// Level is "relations" if empty, "namespaces", "columns", "keys", "foreign_keys", "indexes", "triggers", "routines" or "types".
	Level string
	// Namespace and Relation are exact names, to which it is narrowed.
	Namespace, Relation string
	// Match is a search text; what fits comes with the best first.
	Match string
	// Kinds are those of relations, keys, routines or types that are wanted, such as "view".
	Kinds []string
	// Definitions: also the texts that make the objects.
	Definitions bool
	// Refresh has the daemon read it anew in any case.
	Refresh bool
	// ETag is that of an earlier CatalogResult: if it still holds, there are no rows.
	ETag string
	// MaxRows is the most that are wanted, 0 for all.
	MaxRows int64
}

// CatalogResult is what is said behind the rows of a catalog.
type CatalogResult struct {
	// ETag is a mark of the whole catalog, for a later query.
	ETag string
	// Unchanged: the ETag of the query still holds, so that there were no rows.
	Unchanged bool
	// Truncated: MaxRows has cut the result.
	Truncated bool
	RowCount  int64
}

// CatalogRow is one row of a catalog. What an engine does not have or know is nil; of a name that there is not, too.
type CatalogRow struct {
	columns []column
	values  []any
}

// Columns are the names in their order.
func (r CatalogRow) Columns() []string {
	names := make([]string, len(r.columns))
	for index, column := range r.columns {
		names[index] = column.name
	}
	return names
}

// String shows names and values.
func (r CatalogRow) String() string {
	var text strings.Builder
	for _, column := range r.columns {
		fmt.Fprintf(&text, "%s=%v ", column.name, r.Value(column.name))
	}
	return strings.TrimSuffix(text.String(), " ")
}

// Value is that of a column: nil, bool, int64, string, []any for lists, map[string]any for "extra".
func (r CatalogRow) Value(column string) any {
	for index, found := range r.columns {
		if found.name == column && index < len(r.values) {
			return r.values[index]
		}
	}
	return nil
}

// Text is a text, "" for nil.
func (r CatalogRow) Text(column string) string {
	text, _ := r.Value(column).(string)
	return text
}

// Int is an integer, 0 for nil.
func (r CatalogRow) Int(column string) int64 {
	number, _ := r.Value(column).(int64)
	return number
}

// Bool is a boolean, false for nil.
func (r CatalogRow) Bool(column string) bool {
	is, _ := r.Value(column).(bool)
	return is
}

// Texts is a list of texts, such as the columns of a key; of an index, "" stands for an expression.
func (r CatalogRow) Texts(column string) []string {
	list, _ := r.Value(column).([]any)
	texts := make([]string, len(list))
	for index, item := range list {
		texts[index], _ = item.(string)
	}
	return texts
}

// Catalog tells what is in the database, one level at a time, and calls a function for each row as it comes. An error of the
// function ends it, and is returned.
func (c *Conn) Catalog(ctx context.Context, query CatalogQuery, each func(CatalogRow) error) (CatalogResult, error) {
	found, err := c.open(ctx, "catalog", query.data())
	if err != nil {
		return CatalogResult{}, err
	}
	for {
		row, err := found.nextRow()
		if err != nil {
			return CatalogResult{}, err
		}
		if row == nil {
			break
		}
		if err := each(CatalogRow{found.columns, row}); err != nil {
			found.discard()
			return CatalogResult{}, err
		}
	}
	result := CatalogResult{ETag: textOf(found.last, "etag"), RowCount: numberOf(found.last, "row_count", 0)}
	result.Unchanged, _ = found.last["unchanged"].(bool)
	result.Truncated, _ = found.last["truncated"].(bool)
	return result, nil
}

func (q CatalogQuery) data() map[string]any {
	data := map[string]any{"level": "relations"}
	if q.Level != "" {
		data["level"] = q.Level
	}
	for name, text := range map[string]string{"namespace": q.Namespace, "relation": q.Relation, "match": q.Match, "etag": q.ETag} {
		if text != "" {
			data[name] = text
		}
	}
	for name, is := range map[string]bool{"definitions": q.Definitions, "refresh": q.Refresh} {
		if is {
			data[name] = true
		}
	}
	if len(q.Kinds) > 0 {
		data["kinds"] = listOf(q.Kinds)
	}
	if q.MaxRows > 0 {
		data["max_rows"] = q.MaxRows
	}
	return data
}

func listOf(texts []string) []any {
	list := make([]any, len(texts))
	for index, text := range texts {
		list[index] = text
	}
	return list
}

// CompletionOptions are what Conn.Complete may be told.
type CompletionOptions struct {
	// Limit is the most items that are wanted, 0 for 50.
	Limit int
	// Recent are names that were used lately, the latest first, which come before others.
	Recent []string
}

// Completion is what may come next, the best first: sql[:From] + Items[i].Text + sql[To:] is the statement with one of the items.
type Completion struct {
	From, To int
	Items    []CompletionItem
	// Incomplete: the names of the database are not all known yet; ask again after a moment.
	Incomplete bool
}

// CompletionItem is one proposal.
type CompletionItem struct {
	// Text is to be inserted, Label to be shown.
	Text, Label string
	// Kind is "keyword", "namespace", "relation", "column", "alias", "common_table_expression", "routine", "join", "join_condition",
	// "star_expansion", "type", "value" or "command".
	Kind string
	// Detail is a type or a signature, Relation what a column belongs to; empty where there is none.
	Detail, Relation string
}

// Complete says what may come next in a statement, at a place of it in bytes, len(sql) for its end. It is answered from memory.
func (c *Conn) Complete(ctx context.Context, sql string, cursor int, options CompletionOptions) (Completion, error) {
	if cursor < 0 || cursor > len(sql) {
		return Completion{}, fmt.Errorf("litebase: the cursor is at %d, and the text has %d bytes", cursor, len(sql))
	}
	data := map[string]any{"sql": sql, "cursor": cursor, "session": c.session}
	if options.Limit > 0 {
		data["limit"] = options.Limit
	}
	if len(options.Recent) > 0 {
		data["recent"] = listOf(options.Recent)
	}
	reply, err := c.Request(ctx, "complete", data)
	if err != nil {
		return Completion{}, err
	}
	replace, _ := reply["replace"].(map[string]any)
	found := Completion{From: int(numberOf(replace, "from", 0)), To: int(numberOf(replace, "to", 0))}
	found.Incomplete, _ = reply["incomplete"].(bool)
	items, _ := reply["items"].([]any)
	for _, item := range items {
		about, _ := item.(map[string]any)
		found.Items = append(found.Items, CompletionItem{
			textOf(about, "text"), textOf(about, "label"), textOf(about, "kind"), textOf(about, "detail"), textOf(about, "relation"),
		})
	}
	if found.From < 0 || found.From > found.To || found.To > len(sql) {
		return Completion{}, c.lost(errMalformed)
	}
	return found, nil
}

// With runs a function with a connection of a pool, for what database/sql has no words for.
func With(ctx context.Context, db *sql.DB, do func(*Conn) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(raw any) error {
		ours, isOurs := raw.(*Conn)
		if !isOurs {
			return fmt.Errorf("litebase: the pool's driver is another one (%T)", raw)
		}
		return do(ours)
	})
}
