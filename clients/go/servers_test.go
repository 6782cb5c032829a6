package litebase

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"testing"
	"time"
)

// server gives a database of the daemon that tests/test_go.py has started with servers behind it.
func server(t *testing.T, name string) *sql.DB {
	socket := os.Getenv("LITEBASE_TEST_SERVERS")
	if socket == "" {
		t.Skip("LITEBASE_TEST_SERVERS is not set: tests/test_go.py starts the servers")
	}
	db := sql.OpenDB(Connector{Options{Socket: socket, Database: name}})
	t.Cleanup(func() { db.Close() })
	return db
}

func TestPostgreSQL(t *testing.T) {
	db := server(t, "pg")
	var number int64
	var decimal, text string
	var moment, zoned, day time.Time
	var flag bool
	var null sql.NullString
	must(t, db.QueryRow(`SELECT $1::int8, 12.50::numeric(6,2), 'é', timestamp '2026-11-28 10:11:12.5',
		timestamptz '2026-11-28 10:11:12+01', date '2026-11-28', true, NULL::text`, int64(math.MinInt64)).
		Scan(&number, &decimal, &text, &moment, &zoned, &day, &flag, &null))
	if number != math.MinInt64 || decimal != "12.50" || text != "é" || !flag || null.Valid {
		t.Error(number, decimal, text, flag, null)
	}
	if !moment.Equal(time.Date(2026, 11, 28, 10, 11, 12, 500_000_000, time.UTC)) ||
		!zoned.Equal(time.Date(2026, 11, 28, 9, 11, 12, 0, time.UTC)) || !day.Equal(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)) {
		t.Error(moment, zoned, day)
	}
	must(t, db.QueryRow("SELECT $1::timestamptz = '2026-11-28 09:11:12Z'", zoned).Scan(&flag))
	if !flag {
		t.Error("a moment was sent as another one")
	}
	var infinity any
	must(t, db.QueryRow("SELECT 'infinity'::timestamptz").Scan(&infinity))
	if infinity != "infinity" {
		t.Error(infinity)
	}
	rows, err := db.Query("SELECT 1::int4 AS a, now() AS b, '{1}'::int4[] AS c")
	must(t, err)
	types, err := rows.ColumnTypes()
	must(t, err)
	must(t, rows.Close())
	if names := types[0].DatabaseTypeName() + " " + types[1].DatabaseTypeName() + " " + types[2].DatabaseTypeName(); names != "INTEGER TIMESTAMPTZ INT4[]" {
		t.Error(names)
	}
}

func TestTransactionsOfPostgreSQL(t *testing.T) {
	db := server(t, "pg")
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	must(t, err)
	var level, readOnly string
	must(t, tx.QueryRow("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')").
		Scan(&level, &readOnly))
	if level != "serializable" || readOnly != "on" {
		t.Error(level, readOnly)
	}
	must(t, tx.Commit())
	tx, err = db.Begin()
	must(t, err)
	if _, err := tx.Exec("SELECT 1/0"); err == nil {
		t.Error("a division by zero")
	}
	if err := tx.Commit(); err == nil {
		t.Error("a transaction that has failed was committed")
	}
}

// TestRowsOfPostgreSQLThatAreLeftEarly leave the transaction as it is, which would end with a statement that is stopped.
func TestRowsOfPostgreSQLThatAreLeftEarly(t *testing.T) {
	db := server(t, "pg")
	tx, err := db.Begin()
	must(t, err)
	defer tx.Rollback()
	for round := 0; round < 3; round++ {
		var number int
		must(t, tx.QueryRow("SELECT * FROM generate_series(1, 200000)").Scan(&number))
		rows, err := tx.Query("SELECT * FROM generate_series(1, 200000)")
		must(t, err)
		for taken := 0; taken < round*1000 && rows.Next(); taken++ {
		}
		must(t, rows.Close())
		must(t, tx.QueryRow("SELECT 1").Scan(&number))
	}
	must(t, tx.Commit())
}

// TestRowsOfPostgreSQLThatAreLeftEarlyEndWithTheTransactionsContext: there may be more of them than anybody can read.
func TestRowsOfPostgreSQLThatAreLeftEarlyEndWithTheTransactionsContext(t *testing.T) {
	db := server(t, "pg")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	must(t, err)
	began := time.Now()
	rows, err := tx.Query("SELECT generate_series(1, 1000000000000)")
	must(t, err)
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	must(t, rows.Close())
	tx.Rollback()
	if took := time.Since(began); took > 2*cancelPatience {
		t.Error(took)
	}
	var number int
	must(t, db.QueryRow("SELECT 1").Scan(&number))
}

func TestMySQL(t *testing.T) {
	db := server(t, "my")
	var large uint64
	var decimal string
	var moment time.Time
	must(t, db.QueryRow("SELECT CAST(? AS UNSIGNED), CAST(12.50 AS DECIMAL(6,2)), CAST('2026-11-28 10:11:12.5' AS DATETIME(1))",
		uint64(math.MaxUint64)).Scan(&large, &decimal, &moment))
	if large != math.MaxUint64 || decimal != "12.50" || !moment.Equal(time.Date(2026, 11, 28, 10, 11, 12, 500_000_000, time.UTC)) {
		t.Error(large, decimal, moment)
	}
	_, err := db.Exec("CREATE OR REPLACE PROCEDURE two() BEGIN SELECT 1 AS a UNION ALL SELECT 2; SELECT 'x' AS b, 'y' AS c; END")
	must(t, err)
	rows, err := db.Query("CALL two()")
	must(t, err)
	defer rows.Close()
	count := 0
	for rows.Next() {
		count++
	}
	if count != 2 || !rows.NextResultSet() {
		t.Fatal(count, rows.Err())
	}
	var b, c string
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	must(t, rows.Scan(&b, &c))
	if b != "x" || c != "y" || rows.Next() || rows.NextResultSet() || rows.Err() != nil {
		t.Error(b, c, rows.Err())
	}
	_, err = db.Exec("CREATE OR REPLACE TABLE written(x int)")
	must(t, err)
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelReadCommitted, ReadOnly: true})
	must(t, err)
	if _, err := tx.Exec("INSERT INTO written VALUES(1)"); err == nil {
		t.Error("a read-only transaction has written")
	}
	must(t, tx.Rollback())
}

func TestRedis(t *testing.T) {
	db := server(t, "redis")
	_, err := db.Exec("SET", "go test", "a value")
	must(t, err)
	var value string
	must(t, db.QueryRow("GET", "go test").Scan(&value))
	if value != "a value" {
		t.Error(value)
	}
	if _, err := db.Begin(); err == nil {
		t.Error("a transaction of Redis")
	}
	must(t, db.Ping())
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, "BLPOP", "nothing here", 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestChannels(t *testing.T) {
	for name, send := range map[string]string{"pg": "SELECT pg_notify($1, $2)", "redis": "PUBLISH"} {
		db := server(t, name)
		changes := listen(t, db, ChangesQuery{Channels: []string{"news", "straße"}})
		if changes.Covers != "channels" {
			t.Error(changes.Covers)
		}
		// Nobody takes them meanwhile: they wait with the daemon.
		var sent []ChannelMessage
		for number := 0; number < 50; number++ {
			sent = append(sent, ChannelMessage{Channel: "news", Payload: fmt.Sprint(number, "é")})
		}
		sent = append(sent, ChannelMessage{Channel: "straße"})
		for _, message := range append([]ChannelMessage{{Channel: "other", Payload: "not told"}}, sent...) {
			_, err := db.Exec(send, message.Channel, message.Payload)
			must(t, err)
		}
		for _, wanted := range sent {
			change := next(t, changes)
			if change.Message == nil || (change.Message.PID != 0) != (name == "pg") {
				t.Fatal(name, change)
			}
			wanted.PID = change.Message.PID
			if !reflect.DeepEqual(change, Change{Position: change.Position, Message: &wanted}) {
				t.Fatal(name, change, *change.Message)
			}
		}
		// Another one goes on where this one was.
		again := listen(t, db, ChangesQuery{Channels: []string{"news", "straße"}, From: changes.Start})
		if change := next(t, again); change.Message == nil || change.Message.Payload != sent[0].Payload {
			t.Error(name, change)
		}
		// Messages that nobody takes hold up no end.
		must(t, again.Close())
		for change := range again.C {
			t.Log(change)
		}
		must(t, again.Err())
		if _, err := tryListen(context.Background(), db, ChangesQuery{Channels: []string{"news"}, Relations: []string{"city"}}); err == nil {
			t.Error("channels and tables")
		}
	}
}

func TestPatternsAndBytesOfChannels(t *testing.T) {
	db := server(t, "redis")
	changes := listen(t, db, ChangesQuery{Channels: []string{"sport.ski"}, Patterns: []string{"sport.*"}})
	_, err := db.Exec("PUBLISH", "sport.ski", []byte{0, 255})
	must(t, err)
	heard := map[ChannelMessage]bool{*next(t, changes).Message: true, *next(t, changes).Message: true}
	wanted := ChannelMessage{Channel: "sport.ski", Payload: "\x00\xff"}
	byPattern := wanted
	byPattern.Pattern = "sport.*"
	if !reflect.DeepEqual(heard, map[ChannelMessage]bool{wanted: true, byPattern: true}) {
		t.Error(heard)
	}
}
