package litebase

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// restorable gives a connection whose database has one row, and the path of a copy that it had with 20,000 rows.
func restorable(t *testing.T, daemon *testDaemon) (*Conn, string) {
	t.Helper()
	ctx := context.Background()
	conn, err := Connect(ctx, Options{Socket: daemon.socket})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	execute(t, ctx, conn, "CREATE TABLE t(a)", "INSERT INTO t "+endlessRows+" LIMIT 20000")
	file, _ := create(t)
	_, err = conn.Backup(ctx, file, nil)
	must(t, err)
	execute(t, ctx, conn, "DELETE FROM t WHERE a > 1")
	return conn, file.Name()
}

func countRows(t *testing.T, conn *Conn) (count int64) {
	t.Helper()
	result, err := conn.query(context.Background(), "SELECT count(*) FROM t", nil)
	must(t, err)
	row, err := result.nextRow()
	must(t, err)
	return row[0].(int64)
}

func TestRestore(t *testing.T) {
	conn, path := restorable(t, startDaemon(t))
	before := runtime.NumGoroutine()
	content, err := os.ReadFile(path)
	must(t, err)
	for name, open := range map[string]func() io.Reader{
		"a file":   func() io.Reader { file, err := os.Open(path); must(t, err); return file },
		"a reader": func() io.Reader { return bytes.NewReader(content) },
	} {
		execute(t, context.Background(), conn, "DELETE FROM t WHERE a > 1")
		from := open()
		read, err := conn.Restore(context.Background(), from, func(bytes, total int64) {
			if bytes <= 0 || bytes > int64(len(content)) || name == "a file" && total != int64(len(content)) {
				t.Error(name, bytes, total)
			}
		})
		must(t, err)
		if closer, isFile := from.(io.Closer); isFile {
			closer.Close()
		}
		if read != int64(len(content)) || countRows(t, conn) != 20_000 {
			t.Error(name, read)
		}
	}
	nothingStays(t, before)
}

func TestWhatCannotBeRestored(t *testing.T) {
	conn, path := restorable(t, startDaemon(t))
	content, err := os.ReadFile(path)
	must(t, err)
	ctx := context.Background()
	errHalf := errors.New("no more")
	for name, from := range map[string]io.Reader{
		"no database": strings.NewReader(strings.Repeat("no database", 1000)),
		"cut off":     bytes.NewReader(content[:len(content)-4096]),
		"a half":      io.MultiReader(bytes.NewReader(content[:100_000]), readerOf(func() error { return errHalf })),
		"nothing":     nil,
	} {
		_, err := conn.Restore(ctx, from, nil)
		var told *Error
		if err == nil || name == "a half" && err != errHalf || name == "cut off" && !(errors.As(err, &told) && told.SQLState == "22P04") {
			t.Error(name, err)
		}
	}
	execute(t, ctx, conn, "BEGIN")
	if _, err := conn.Restore(ctx, bytes.NewReader(content), nil); err == nil || !strings.Contains(err.Error(), "transaction") {
		t.Error(err)
	}
	execute(t, ctx, conn, "ROLLBACK")
	reading, err := Connect(ctx, Options{Socket: conn.options.Socket, ReadOnly: true})
	must(t, err)
	defer reading.Close()
	if _, err := reading.Restore(ctx, bytes.NewReader(content), nil); !errors.Is(err, ErrReadOnly) {
		t.Error(err)
	}
	if countRows(t, conn) != 1 {
		t.Error("it was changed")
	}
	memory, err := Connect(ctx, Options{Socket: conn.options.Socket, URL: "sqlite::memory:"})
	must(t, err)
	defer memory.Close()
	if _, err := memory.Restore(ctx, bytes.NewReader(content), nil); err == nil {
		t.Error("a database in memory was restored")
	}
}

// TestRestoresThatEndAtAnyMoment leave the former content, or all of the other one where they were done.
func TestRestoresThatEndAtAnyMoment(t *testing.T) {
	conn, path := restorable(t, startDaemon(t))
	before := runtime.NumGoroutine()
	content, err := os.ReadFile(path)
	must(t, err)
	for round := 0; round < 40; round++ {
		ended, cancel := context.WithTimeout(context.Background(), time.Duration(rand.Intn(20_000))*time.Microsecond)
		_, err := conn.Restore(ended, bytes.NewReader(content), nil)
		cancel()
		count := countRows(t, conn)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) || count != map[bool]int64{true: 20_000, false: 1}[err == nil] {
			t.Fatal(round, count, err)
		}
		execute(t, context.Background(), conn, "DELETE FROM t WHERE a > 1")
	}
	nothingStays(t, before)
}

// TestRestoresThroughConnectionsThatEndAtAnyByte: it is as it was, or restored, and it is said that nobody knows.
func TestRestoresThroughConnectionsThatEndAtAnyByte(t *testing.T) {
	daemon := startDaemon(t)
	watching, path := restorable(t, daemon)
	before := runtime.NumGoroutine()
	unknown := 0
	for bytes, isWhole := 1, false; !isWhole; bytes += 53 {
		if bytes > 20_000 {
			t.Fatal("it never ends")
		}
		cut, over := cutter(t, daemon.socket, bytes)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		hasBegun := false
		conn, err := Connect(ctx, Options{Socket: cut})
		if err == nil {
			hasBegun = true
			file, failure := os.Open(path)
			must(t, failure)
			_, err = conn.Restore(ctx, file, nil)
			file.Close()
			conn.Close()
		}
		cancel()
		<-over
		isWhole = err == nil
		if hasBegun && !isWhole {
			if !errors.Is(err, ErrOutcomeUnknown) {
				t.Fatal(bytes, err)
			}
			unknown++
		}
		if count := countRows(t, watching); count != 20_000 && (isWhole || count != 1) {
			t.Fatal(bytes, count, err)
		}
		execute(t, context.Background(), watching, "DELETE FROM t WHERE a > 1")
	}
	if unknown == 0 {
		t.Error("none was cut while it ran")
	}
	nothingStays(t, before)
}
