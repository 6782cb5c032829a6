package litebase

import (
	"bytes"
	"compress/gzip"
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

const makeCity = "CREATE TABLE city(name TEXT, people INTEGER)"

// count of the rows of the table.
func countCities(t *testing.T, ctx context.Context, conn *Conn) int64 {
	t.Helper()
	result, err := conn.query(ctx, "SELECT count(*) FROM city", nil)
	must(t, err)
	row, err := result.nextRow()
	must(t, err)
	return row[0].(int64)
}

// someRows gives rows until its limit, and then its error.
type someRows struct {
	rows int
	err  error
}

func (e *someRows) Read(buffer []byte) (int, error) {
	if e.rows <= 0 {
		return 0, e.err
	}
	row := []byte("x,1\r\n")
	count := 0
	for ; e.rows > 0 && count+len(row) <= len(buffer); e.rows-- {
		count += copy(buffer[count:], row)
	}
	return count, nil
}

func TestImportFromFilesAndReaders(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		before := runtime.NumGoroutine()
		file, _ := create(t)
		file.WriteString("before\n" + citiesCSV)
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		writer.Write([]byte(citiesCSV))
		must(t, writer.Close())
		unpacking, err := gzip.NewReader(&packed)
		must(t, err)
		output, input, err := os.Pipe()
		must(t, err)
		input.WriteString(citiesCSV)
		input.Close()
		_, err = file.Seek(7, io.SeekStart)
		must(t, err)
		for number, from := range []io.Reader{strings.NewReader(citiesCSV), file, unpacking, output, bytes.NewBufferString(citiesCSV)} {
			result, err := conn.Import(ctx, from, Import{Table: "city", Create: number == 0})
			must(t, err)
			if result.Bytes != int64(len(citiesCSV)) || result.Rows != 2 || result.RejectedCount != 0 || len(result.Rejected) != 0 ||
				(result.SQL != "") != (number == 0) {
				t.Errorf("%d %+v", number, result)
			}
			if number == 0 && (len(result.Columns) != 2 || result.Columns[1] != ImportedColumn{"people", "integer"}) {
				t.Error(result.Columns)
			}
		}
		output.Close()
		if count := countCities(t, ctx, conn); count != 10 {
			t.Error(count)
		}
		nothingStays(t, before)
	})
}

func TestImportOptions(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		execute(t, ctx, conn, makeCity)
		null := "NA"
		for _, test := range []struct {
			content string
			into    Import
		}{
			{"a;NA\n", Import{NoHeader: true, Delimiter: ";", Null: &null, Namespace: "main"}},
			{"b\n", Import{NoHeader: true, Columns: []string{"name"}, Atomic: true}},
			{"c\t1\n", Import{NoHeader: true, Format: "tsv"}},
			{`{"name":"d"}`, Import{Format: "jsonl"}},
			{"name\n\xe9\n", Import{Encoding: "latin-1"}},
		} {
			test.into.Table = "city"
			if _, err := conn.Import(ctx, strings.NewReader(test.content), test.into); err != nil {
				t.Error(test.content, err)
			}
		}
		result, err := conn.query(ctx, "SELECT group_concat(name, ''), count(people) FROM city", nil)
		must(t, err)
		if row, _ := result.nextRow(); row[0] != "abcdé" || row[1] != int64(1) {
			t.Error(row)
		}
	})
}

func TestLinesThatAreRefused(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		execute(t, ctx, conn, makeCity, "CREATE UNIQUE INDEX one ON city(people)")
		const lines = "name,people\na,1\nb,2\nc,1\nd\n"
		for _, atomic := range []bool{true, false} {
			var found *Error
			_, err := conn.Import(ctx, strings.NewReader(lines), Import{Table: "city", Atomic: atomic})
			if !errors.As(err, &found) || !(strings.Contains(found.Message, "Line 4") || strings.Contains(found.Message, "Line 5")) {
				t.Error(err)
			}
			if count := countCities(t, ctx, conn); atomic && count != 0 {
				t.Error(count)
			}
			execute(t, ctx, conn, "DELETE FROM city")
		}
		result, err := conn.Import(ctx, strings.NewReader(lines), Import{Table: "city", MaxRejected: 5})
		must(t, err)
		refused := map[int64]string{}
		for _, line := range result.Rejected {
			refused[line.Line] = line.Reason
		}
		if result.Rows != 2 || result.RejectedCount != 2 || !strings.Contains(refused[4], "UNIQUE") || !strings.Contains(refused[5], "1 field") {
			t.Errorf("%+v", result)
		}
		result, err = conn.Import(ctx, strings.NewReader(lines), Import{Table: "other", Create: true, DryRun: true, MaxRejected: 1})
		must(t, err)
		if result.Rows != 3 || len(result.Rejected) != 1 || result.Columns[0].Type != "text" {
			t.Errorf("%+v", result)
		}
	})
}

func TestImportsThatFail(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		before := runtime.NumGoroutine()
		execute(t, ctx, conn, makeCity)
		// What reading returns is returned, and no half is an import.
		for _, rows := range []int{0, 1, 10_000, 500_000} {
			_, err := conn.Import(ctx, &someRows{rows, errFull}, Import{Table: "city", NoHeader: true, Atomic: true})
			if !errors.Is(err, errFull) {
				t.Error(rows, err)
			}
			if count := countCities(t, ctx, conn); count != 0 {
				t.Error(rows, count)
			}
		}
		var found *Error
		for _, into := range []Import{{Table: "nowhere"}, {}, {Table: "city", Format: "xml"}, {Table: "city", Encoding: "ebcdic"}} {
			if _, err := conn.Import(ctx, &someRows{1_000_000, io.EOF}, into); !errors.As(err, &found) {
				t.Error(into, err)
			}
		}
		file, _ := create(t)
		writing, err := os.OpenFile(file.Name(), os.O_WRONLY, 0)
		must(t, err)
		if _, err := conn.Import(ctx, writing, Import{Table: "city"}); !errors.As(err, &found) || found.Code != "bad_request" {
			t.Error(err)
		}
		writing.Close()
		if _, err := conn.Import(ctx, writing, Import{Table: "city"}); err == nil {
			t.Error("a closed file was read")
		}
		if _, err := conn.Import(ctx, nil, Import{Table: "city"}); err == nil {
			t.Error("nothing was read")
		}
		execute(t, ctx, conn, "SELECT 1")
		nothingStays(t, before)
	})
}

// waits blocks in Read until it is released.
type waits struct{ released chan struct{} }

func (w waits) Read([]byte) (int, error) {
	<-w.released
	return 0, io.EOF
}

// TestAReaderThatWaits does not hold up the end of an import.
func TestAReaderThatWaits(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		before := runtime.NumGoroutine()
		execute(t, ctx, conn, makeCity)
		reader := waits{make(chan struct{})}
		ended, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := conn.Import(ended, reader, Import{Table: "city"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Error(took)
		}
		execute(t, ctx, conn, "SELECT 1")
		close(reader.released)
		nothingStays(t, before)
	})
}

func TestAMillionRowsAndProgress(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		execute(t, ctx, conn, makeCity)
		told := []ImportProgress{}
		result, err := conn.Import(ctx, &someRows{1_000_000, io.EOF}, Import{
			Table: "city", NoHeader: true, OnProgress: func(progress ImportProgress) { told = append(told, progress) },
		})
		must(t, err)
		if result.Rows != 1_000_000 || countCities(t, ctx, conn) != 1_000_000 || len(told) == 0 {
			t.Errorf("%+v %v", result, told)
		}
		for index := 1; index < len(told); index++ {
			if told[index].Rows < told[index-1].Rows || told[index].TotalBytes != 0 {
				t.Error(told)
			}
		}
	})
}

// TestImportsThatEndAtAnyMoment leave all rows or none, a connection that works, and nothing behind.
func TestImportsThatEndAtAnyMoment(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		before := runtime.NumGoroutine()
		execute(t, ctx, conn, makeCity)
		file, _ := create(t)
		_, err := io.Copy(file, &someRows{300_000, io.EOF})
		must(t, err)
		for round := 0; round < 60; round++ {
			ended, cancel := context.WithTimeout(ctx, time.Duration(rand.Intn(10_000))*time.Microsecond)
			var from io.Reader = &someRows{1 << 40, io.EOF}
			if round%2 == 0 {
				_, err = file.Seek(0, io.SeekStart)
				must(t, err)
				from = file
			}
			_, err := conn.Import(ended, from, Import{Table: "city", NoHeader: true, Atomic: true})
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(round, err)
			}
			if count := countCities(t, ctx, conn); count != 0 && count != 300_000 || (count == 0) != (err != nil) {
				t.Fatal(round, count, err)
			}
			execute(t, ctx, conn, "DELETE FROM city")
		}
		nothingStays(t, before)
	})
}

// TestImportsThroughConnectionsThatEndAtAnyByte say that nobody knows; of a dry run, that nothing was done.
func TestImportsThroughConnectionsThatEndAtAnyByte(t *testing.T) {
	daemon := startDaemon(t)
	before := runtime.NumGoroutine()
	for _, isDry := range []bool{false, true} {
		for bytes, isWhole := 1, false; !isWhole; bytes += 31 {
			if bytes > 20_000 {
				t.Fatal("it never ends")
			}
			path, over := cutter(t, daemon.socket, bytes)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			hasBegun := false
			conn, err := Connect(ctx, Options{Socket: path})
			if err == nil {
				execute := func() error { _, err := conn.exec(ctx, "DROP TABLE IF EXISTS city", nil); return err }
				if err = execute(); err == nil {
					hasBegun = true
					_, err = conn.Import(ctx, strings.NewReader(citiesCSV), Import{Table: "city", Create: true, DryRun: isDry})
				}
				conn.Close()
			}
			cancel()
			<-over
			isWhole = err == nil
			isUnknown := errors.Is(err, ErrOutcomeUnknown)
			if err != nil && !isUnknown && !errors.Is(err, ErrConnectionLost) || isDry && hasBegun && isUnknown {
				t.Fatal(isDry, bytes, err)
			}
		}
	}
	nothingStays(t, before)
}
