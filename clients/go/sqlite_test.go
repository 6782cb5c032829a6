package litebase

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"

func TestValuesThereAndBack(t *testing.T) {
	db := startDaemon(t).open(t)
	for _, value := range []any{
		nil, int64(0), int64(math.MaxInt64), int64(math.MinInt64), 0.1, math.Inf(1), "", "é\x00\U0001f600", []byte{}, []byte{0, 255},
		strings.Repeat("x", 1<<20),
	} {
		var back any
		must(t, db.QueryRow("SELECT ?", value).Scan(&back))
		if !reflect.DeepEqual(back, value) {
			t.Errorf("%T %.40v came back as %T %.40v", value, value, back, back)
		}
	}
	moment := time.Date(2026, 11, 28, 10, 11, 12, 345678000, time.FixedZone("", 3600))
	var text string
	must(t, db.QueryRow("SELECT ?", moment).Scan(&text))
	if text != "2026-11-28 10:11:12.345678+01:00" {
		t.Error(text)
	}
	if err := db.QueryRow("SELECT ?", uint64(math.MaxUint64)).Scan(&text); err == nil {
		t.Error("SQLite has no integer beyond 64 bits with a sign")
	}
	if err := db.QueryRow("SELECT ?", struct{}{}).Scan(&text); err == nil {
		t.Error("a struct was sent")
	}
}

// TestTextsThatAreNone are refused before they are sent, and the transaction goes on.
func TestTextsThatAreNone(t *testing.T) {
	db := startDaemon(t).open(t)
	tx, err := db.Begin()
	must(t, err)
	defer tx.Rollback()
	for _, try := range []func() error{
		func() error { _, err := tx.Exec("SELECT ?", "a\xff"); return err },
		func() error { _, err := tx.Exec("SELECT :a", sql.Named("a", "\xed\xa0\x80")); return err },
		func() error { _, err := tx.Exec("SELECT '\xff'"); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "UTF-8") || !strings.Contains(err.Error(), "[]byte") {
			t.Error(err)
		}
	}
	var text string
	var bytes []byte
	must(t, tx.QueryRow("SELECT ?, ?", "a\x00é", []byte("\xff")).Scan(&text, &bytes))
	if text != "a\x00é" || string(bytes) != "\xff" {
		t.Error(text, bytes)
	}
	must(t, tx.Commit())
}

func TestNamesPositionsAndTypes(t *testing.T) {
	db := startDaemon(t).open(t)
	var a, b int
	must(t, db.QueryRow("SELECT :a, :b", sql.Named("b", 2), sql.Named("a", 1)).Scan(&a, &b))
	if a != 1 || b != 2 {
		t.Error(a, b)
	}
	if _, err := db.Query("SELECT ?, :a", 1, sql.Named("a", 1)); err == nil {
		t.Error("names and positions were mixed")
	}
	_, err := db.Exec("CREATE TABLE t(a INTEGER PRIMARY KEY, b VARCHAR(10), c REAL)")
	must(t, err)
	result, err := db.Exec("INSERT INTO t(b, c) VALUES (?, ?), ('y', NULL)", "x", 1.5)
	must(t, err)
	if affected, _ := result.RowsAffected(); affected != 2 {
		t.Error(affected)
	}
	if id, err := result.LastInsertId(); id != 2 || err != nil {
		t.Error(id, err)
	}
	rows, err := db.Query("SELECT * FROM t ORDER BY a")
	must(t, err)
	defer rows.Close()
	types, err := rows.ColumnTypes()
	must(t, err)
	if name := types[1].DatabaseTypeName(); name != "VARCHAR" {
		t.Error(name)
	}
}

func TestManyRowsStream(t *testing.T) {
	db := startDaemon(t).open(t)
	rows, err := db.Query("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 300000) SELECT x, 'row ' || x FROM c")
	must(t, err)
	sum, count := 0, 0
	for rows.Next() {
		var x int
		var text string
		must(t, rows.Scan(&x, &text))
		sum, count = sum+x, count+1
	}
	must(t, rows.Err())
	if count != 300000 || sum != 300000*300001/2 {
		t.Error(count, sum)
	}
}

func TestRowsThatAreLeftEarly(t *testing.T) {
	db := startDaemon(t).open(t)
	db.SetMaxOpenConns(1)
	for i := 0; i < 20; i++ {
		rows, err := db.Query(strings.Replace(endless, "count(*)", "x", 1))
		must(t, err)
		for n := 0; n < i*100 && rows.Next(); n++ {
		}
		must(t, rows.Close())
		var one int
		must(t, db.QueryRow("SELECT 1").Scan(&one))
	}
}

func TestTransactions(t *testing.T) {
	db := startDaemon(t).open(t)
	_, err := db.Exec("CREATE TABLE t(x UNIQUE)")
	must(t, err)
	count := func() (n int) {
		must(t, db.QueryRow("SELECT count(*) FROM t").Scan(&n))
		return
	}
	tx, err := db.Begin()
	must(t, err)
	rows, err := tx.Query("SELECT 1 UNION ALL SELECT 2")
	must(t, err)
	rows.Next()
	_, err = tx.Exec("INSERT INTO t VALUES(1)") // While rows of the former statement are open.
	must(t, err)
	if !rows.Next() {
		t.Error("a row is lost")
	}
	must(t, rows.Close())
	must(t, tx.Rollback())
	if n := count(); n != 0 {
		t.Error(n)
	}
	tx, err = db.Begin()
	must(t, err)
	_, err = tx.Exec("INSERT INTO t VALUES(1)")
	must(t, err)
	_, err = tx.Exec("INSERT INTO t VALUES(1)")
	var found *Error
	if !errors.Is(err, ErrConstraint) || !errors.As(err, &found) || found.SQLState[:2] != "23" {
		t.Error(err)
	}
	must(t, tx.Commit())
	if n := count(); n != 1 {
		t.Error(n)
	}
	if _, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true}); err == nil {
		t.Error("a read-only transaction")
	}
	// One that was forgotten is rolled back before the connection goes to somebody else.
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(context.Background())
	must(t, err)
	_, err = conn.ExecContext(context.Background(), "BEGIN")
	must(t, err)
	_, err = conn.ExecContext(context.Background(), "INSERT INTO t VALUES(2)")
	must(t, err)
	must(t, conn.Close())
	if n := count(); n != 1 {
		t.Error(n)
	}
}

// TestACommitThatFails leaves no transaction open, in which the connection would wait in its pool, and others for its locks.
func TestACommitThatFails(t *testing.T) {
	daemon := startDaemon(t)
	db, other := daemon.open(t), daemon.open(t, func(options *Options) { options.Timeout = 2 * time.Second })
	run(t, db, "CREATE TABLE t(a INTEGER PRIMARY KEY)", "CREATE TABLE u(b REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED)")
	tx, err := db.Begin()
	must(t, err)
	_, err = tx.Exec("INSERT INTO u VALUES (7)")
	must(t, err)
	if err := tx.Commit(); !errors.Is(err, ErrConstraint) {
		t.Fatal(err)
	}
	run(t, other, "INSERT INTO t VALUES (1)")
	var rows int
	must(t, db.QueryRow("SELECT count(*) FROM u").Scan(&rows))
	if rows != 0 {
		t.Error(rows)
	}
}

func TestContextsStopStatementsInTheDaemon(t *testing.T) {
	db := startDaemon(t).open(t)
	db.SetMaxOpenConns(1)
	for i := 0; i < 20; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i*3)*time.Millisecond)
		var n int
		err := db.QueryRowContext(ctx, endless).Scan(&n)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		must(t, db.QueryRow("SELECT 1").Scan(&n))
	}
}

// TestContextsOfADaemonThatStandsStill end also what it does not take, and rows that it does not stop are given up.
func TestContextsOfADaemonThatStandsStill(t *testing.T) {
	daemon := startDaemon(t)
	db := daemon.open(t)
	db.SetMaxOpenConns(1)
	run(t, db, "CREATE TABLE t(a)")
	rows, err := db.Query(strings.Replace(endless, "count(*)", "x", 1))
	must(t, err)
	must(t, daemon.process.Process.Signal(syscall.SIGSTOP))
	began := time.Now()
	if err := rows.Close(); err == nil || time.Since(began) > 2*cancelPatience {
		t.Error(err, time.Since(began))
	}
	must(t, daemon.process.Process.Signal(syscall.SIGCONT))
	run(t, db, "SELECT 1")
	must(t, daemon.process.Process.Signal(syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began = time.Now()
	if _, err := db.ExecContext(ctx, "INSERT INTO t VALUES (?)", strings.Repeat("x", 8<<20)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if time.Since(began) > cancelPatience {
		t.Error(time.Since(began))
	}
	must(t, daemon.process.Process.Signal(syscall.SIGCONT))
	var count int
	must(t, db.QueryRow("SELECT count(*) FROM t").Scan(&count))
	if count != 0 {
		t.Error("it was done all the same")
	}
}

func TestTimeoutOfTheDaemon(t *testing.T) {
	db := startDaemon(t).open(t, func(o *Options) { o.Timeout = 50 * time.Millisecond })
	_, err := db.Exec(endless)
	var told *Error
	if !errors.As(err, &told) || told.Hint != "Raise Options.Timeout, or make the statement do less." {
		t.Fatal(err)
	}
	if !errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	db := startDaemon(t).open(t)
	_, err := db.Exec("SELECT\nnam FROM sqlite_schema")
	var found *Error
	if !errors.As(err, &found) || found.Code == "" || found.Position == nil || found.Position.Line != 2 {
		t.Errorf("%#v", err)
	}
	readOnly := startDaemon(t).open(t, func(o *Options) { o.ReadOnly = true })
	if _, err := readOnly.Exec("CREATE TABLE t(x)"); !errors.Is(err, ErrReadOnly) {
		t.Error(err)
	}
	missing := sql.OpenDB(Connector{Options{Socket: "/nonexistent/litebase.sock"}})
	if err := missing.Ping(); !errors.Is(err, ErrConnectionLost) || !strings.Contains(err.Error(), "/nonexistent/litebase.sock") {
		t.Error(err)
	}
}

func TestBatchByRaw(t *testing.T) {
	db := startDaemon(t).open(t)
	conn, err := db.Conn(context.Background())
	must(t, err)
	defer conn.Close()
	must(t, conn.Raw(func(raw any) error {
		results, err := raw.(*Conn).Batch(context.Background(), []Statement{
			{SQL: "CREATE TABLE t(a, b)"},
			{SQL: "INSERT INTO t VALUES(?, ?)", Rows: [][]any{{1, "x"}, {2, nil}, {3, time.Unix(0, 0).UTC()}}},
			{SQL: "DELETE FROM t WHERE a = ?", Params: []any{1}},
		})
		if err == nil && (len(results) != 3 || results[1].RowsAffected != 3 || results[2].RowsAffected != 1) {
			err = fmt.Errorf("%v", results)
		}
		return err
	}))
	err = conn.Raw(func(raw any) error {
		_, err := raw.(*Conn).Batch(context.Background(), []Statement{{SQL: "DELETE FROM t"}, {SQL: "SELEC"}})
		return err
	})
	var found *Error
	if !errors.As(err, &found) || found.StatementIndex != 1 {
		t.Error(err)
	}
	var n int
	must(t, conn.QueryRowContext(context.Background(), "SELECT count(*) FROM t").Scan(&n))
	if n != 2 {
		t.Error(n)
	}
}

func TestSeveralGoroutines(t *testing.T) {
	db := startDaemon(t).open(t)
	_, err := db.Exec("CREATE TABLE t(x)")
	must(t, err)
	var group sync.WaitGroup
	for g := 0; g < 8; g++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < 50; i++ {
				if _, err := db.Exec("INSERT INTO t VALUES(?)", i); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	var n int
	must(t, db.QueryRow("SELECT count(*) FROM t").Scan(&n))
	if n != 400 {
		t.Error(n)
	}
}

func TestDataSourceNames(t *testing.T) {
	for name, wanted := range map[string]Options{
		"":     {},
		"shop": {Database: "shop"},
		"litebase:///shop?socket=/x.sock&read_only=true&timeout=5s": {
			Database: "shop", Socket: "/x.sock", ReadOnly: true, Timeout: 5 * time.Second},
		"litebase:?url=sqlite%3A%3Amemory%3A&begin=BEGIN+IMMEDIATE&trust=a&trust=b": {
			URL: "sqlite::memory:", Begin: "BEGIN IMMEDIATE", TrustUsers: []string{"a", "b"}},
	} {
		if options, err := ParseDSN(name); err != nil || !reflect.DeepEqual(options, wanted) {
			t.Errorf("%q: %+v, %v", name, options, err)
		}
	}
	for _, name := range []string{
		"litebase://host/shop", "litebase:///x?y=1", "litebase:///x?timeout=soon", "litebase:///x?url=sqlite:y", "litebase:///%zz",
	} {
		if _, err := ParseDSN(name); err == nil {
			t.Errorf("%q is a data source name", name)
		}
	}
}

func TestASocketThatIsNotOpen(t *testing.T) {
	daemon := startDaemon(t)
	must(t, os.Chmod(daemon.directory, 0o755))
	must(t, os.Chmod(daemon.socket, 0))
	said := make(chan error)
	go func() {
		if os.Geteuid() == 0 {
			// Root may connect to any. The thread ends with the goroutine.
			runtime.LockOSThread()
			if _, _, err := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); err != 0 {
				said <- err
				return
			}
		}
		_, err := Connect(context.Background(), Options{Socket: daemon.socket})
		said <- err
	}()
	err := <-said
	var found *Error
	if !errors.Is(err, ErrPermission) || !errors.As(err, &found) || !strings.Contains(found.Hint, "group") {
		t.Error(err)
	}
}

// TestLostConnections kills the daemon at random moments of inserts: none is repeated, none that was acknowledged is lost, and the
// error says what is known.
func TestLostConnections(t *testing.T) {
	for round := 0; round < 6; round++ {
		daemon := startDaemon(t)
		db := daemon.open(t)
		_, err := db.Exec("CREATE TABLE t(x)")
		must(t, err)
		killed := make(chan struct{})
		go func() {
			time.Sleep(time.Duration(5+round*7) * time.Millisecond)
			daemon.process.Process.Kill()
			daemon.process.Wait()
			close(killed)
		}()
		acknowledged := 0
		for ; err == nil; acknowledged++ {
			_, err = db.Exec("INSERT INTO t VALUES(?)", acknowledged)
		}
		acknowledged--
		if !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrConnectionLost) && !errors.Is(err, driver.ErrBadConn) {
			t.Fatal(err)
		}
		<-killed
		daemon.restart(t)
		var rows, different int
		must(t, db.QueryRow("SELECT count(*), count(DISTINCT x) FROM t").Scan(&rows, &different))
		isThere := rows == acknowledged || rows == acknowledged+1 && errors.Is(err, ErrOutcomeUnknown)
		if !isThere || rows != different {
			t.Fatal(acknowledged, "were acknowledged;", rows, "rows,", different, "different ones; ", err)
		}
	}
}
