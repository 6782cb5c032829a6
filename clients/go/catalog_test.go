package litebase

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// with runs a function with a connection of a pool for this test.
func with(t *testing.T, options func(*Options), do func(ctx context.Context, conn *Conn)) {
	db := startDaemon(t).open(t, options)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(t, With(ctx, db, func(conn *Conn) error {
		do(ctx, conn)
		return nil
	}))
}

func inMemory(options *Options) { options.URL = "sqlite::memory:" }
func byDefault(*Options)        {}

func execute(t *testing.T, ctx context.Context, conn *Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := conn.exec(ctx, statement, nil)
		must(t, err)
	}
}

func names(t *testing.T, ctx context.Context, conn *Conn, query CatalogQuery) (names []string, result CatalogResult) {
	t.Helper()
	result, err := conn.Catalog(ctx, query, func(row CatalogRow) error {
		names = append(names, row.Text("name"))
		return nil
	})
	must(t, err)
	return names, result
}

func TestCatalog(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		execute(t, ctx, conn, "CREATE TABLE city (name TEXT PRIMARY KEY, people INTEGER)",
			"CREATE TABLE street (id INTEGER PRIMARY KEY, city TEXT REFERENCES city(name))", "CREATE VIEW large AS SELECT * FROM city")
		found, result := names(t, ctx, conn, CatalogQuery{Level: "relations"})
		if !reflect.DeepEqual(found, []string{"city", "large", "street"}) || result.RowCount != 3 || result.ETag == "" {
			t.Error(found, result)
		}
		if again, same := names(t, ctx, conn, CatalogQuery{Level: "relations", ETag: result.ETag}); len(again) != 0 || !same.Unchanged {
			t.Error(again, same)
		}
		if views, _ := names(t, ctx, conn, CatalogQuery{Kinds: []string{"view"}, Refresh: true}); len(views) != 1 {
			t.Error(views)
		}
		if first, cut := names(t, ctx, conn, CatalogQuery{Level: "columns", Relation: "city", MaxRows: 1}); len(first) != 1 || !cut.Truncated {
			t.Error(first, cut)
		}
		_, err := conn.Catalog(ctx, CatalogQuery{Level: "foreign_keys", Namespace: "main"}, func(row CatalogRow) error {
			if !reflect.DeepEqual(row.Texts("target_columns"), []string{"name"}) || row.Text("target_relation") != "city" ||
				row.Columns()[0] != "namespace" || !strings.Contains(row.String(), "target_relation=city ") || row.Value("nowhere") != nil {
				t.Error(row)
			}
			return nil
		})
		must(t, err)
		_, err = conn.Catalog(ctx, CatalogQuery{Level: "columns", Match: "people"}, func(row CatalogRow) error {
			if row.Int("position") != 2 || row.Bool("hidden") || row.Value("default") != nil {
				t.Error(row)
			}
			return nil
		})
		must(t, err)
		var found2 *Error
		if _, err := conn.Catalog(ctx, CatalogQuery{Level: "tables"}, nil); !errors.As(err, &found2) || found2.Code != "bad_request" {
			t.Error(err)
		}
	})
}

func TestACatalogThatIsLeftEarly(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		for table := 0; table < 200; table++ {
			var columns []string
			for column := 0; column < 20; column++ {
				columns = append(columns, fmt.Sprintf("column_%d", column))
			}
			execute(t, ctx, conn, fmt.Sprintf("CREATE TABLE t%d (%s)", table, strings.Join(columns, ",")))
		}
		enough := errors.New("enough")
		rows := 0
		if _, err := conn.Catalog(ctx, CatalogQuery{Level: "columns"}, func(CatalogRow) error {
			rows++
			return enough
		}); !errors.Is(err, enough) || rows != 1 {
			t.Error(err, rows)
		}
		// Another request while rows are taken.
		rows = 0
		result, err := conn.Catalog(ctx, CatalogQuery{Level: "columns"}, func(CatalogRow) error {
			if rows++; rows%1000 == 0 {
				execute(t, ctx, conn, "SELECT 1")
			}
			return nil
		})
		must(t, err)
		if rows != 4000 || result.RowCount != 4000 {
			t.Error(rows, result)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := conn.Catalog(ended, CatalogQuery{Level: "columns"}, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		execute(t, ctx, conn, "SELECT 1")
	})
}

func TestComplete(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		execute(t, ctx, conn, `CREATE TABLE city (name TEXT, "to be" INTEGER)`)
		names(t, ctx, conn, CatalogQuery{Level: "relations"})
		sql := "SELECT 'é', be FROM city"
		cursor := strings.Index(sql, " FROM")
		found, err := conn.Complete(ctx, sql, cursor, CompletionOptions{Limit: 1, Recent: []string{"to be"}})
		must(t, err)
		if len(found.Items) != 1 || sql[:found.From]+found.Items[0].Text+sql[found.To:] != `SELECT 'é', "to be" FROM city` ||
			found.Items[0].Kind != "column" || found.Items[0].Detail != "INTEGER" || found.Items[0].Relation != "city" || found.Incomplete {
			t.Errorf("%+v", found)
		}
		for _, wrong := range []int{-1, 1000} {
			if _, err := conn.Complete(ctx, sql, wrong, CompletionOptions{}); err == nil {
				t.Error("a cursor outside of the text was taken")
			}
		}
	})
}

func TestCatalogsOfServers(t *testing.T) {
	for _, name := range []string{"pg", "my"} {
		db := server(t, name)
		_, err := db.Exec("CREATE TABLE told (a INTEGER PRIMARY KEY, b VARCHAR(10))")
		must(t, err)
		must(t, With(context.Background(), db, func(conn *Conn) error {
			found, _ := names(t, context.Background(), conn, CatalogQuery{Level: "columns", Relation: "told"})
			if !reflect.DeepEqual(found, []string{"a", "b"}) {
				t.Error(found)
			}
			return nil
		}))
		_, err = db.Exec("DROP TABLE told")
		must(t, err)
	}
	must(t, With(context.Background(), server(t, "redis"), func(conn *Conn) error {
		found := ""
		_, err := conn.Catalog(context.Background(), CatalogQuery{Level: "routines", Match: "GETRANGE"}, func(row CatalogRow) error {
			found += row.Text("arguments")
			return nil
		})
		if found != "key start end" {
			t.Error(found)
		}
		return err
	}))
}
