package litebase

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"io"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	endlessRows = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c"
	cities      = "SELECT 'Oslo' AS name, 717710 AS people UNION ALL SELECT 'Bergen', 294029"
	citiesCSV   = "name,people\r\nOslo,717710\r\nBergen,294029\r\n"
)

// nothingStays checks that no goroutine and no pipe are left behind.
func nothingStays(t *testing.T, goroutines int) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		pipes := 0
		entries, _ := os.ReadDir("/proc/self/fd")
		for _, entry := range entries {
			if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(target, "pipe:") && entry.Name() > "2" {
				pipes++
			}
		}
		if runtime.NumGoroutine() <= goroutines && pipes <= pipesAtStart {
			return
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("%d goroutines, not %d; %d pipes, not %d", runtime.NumGoroutine(), goroutines, pipes, pipesAtStart)
		}
	}
}

var pipesAtStart = func() (count int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(target, "pipe:") && entry.Name() > "2" {
			count++
		}
	}
	return
}()

func create(t *testing.T) (*os.File, func() string) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	t.Cleanup(func() { file.Close() })
	return file, func() string {
		content, err := os.ReadFile(file.Name())
		must(t, err)
		return string(content)
	}
}

func TestExportIntoFilesAndWriters(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		before := runtime.NumGoroutine()
		file, content := create(t)
		file.WriteString("before\n")
		result, err := conn.Export(ctx, file, Export{SQL: cities})
		must(t, err)
		file.WriteString("after\n")
		if content() != "before\n"+citiesCSV+"after\n" || result != (ExportResult{Bytes: int64(len(citiesCSV)), Rows: 2}) {
			t.Errorf("%q %+v", content(), result)
		}
		var buffer bytes.Buffer
		result, err = conn.Export(ctx, &buffer, Export{SQL: cities, Format: "tsv", NoHeader: true, MaxRows: 1})
		must(t, err)
		if buffer.String() != "Oslo\t717710\n" || !result.Truncated {
			t.Errorf("%q %+v", buffer.String(), result)
		}
		for _, params := range [][]any{{7, "x"}, {sql.Named("a", 7), sql.Named("b", "x")}} {
			buffer.Reset()
			_, err = conn.Export(ctx, &buffer, Export{SQL: "SELECT :a AS a, :b AS b", Params: params, Format: "jsonl"})
			must(t, err)
			if buffer.String() != `{"a":7,"b":"x"}`+"\n" {
				t.Error(buffer.String())
			}
		}
		buffer.Reset()
		packed := gzip.NewWriter(&buffer)
		_, err = conn.Export(ctx, packed, Export{SQL: endlessRows + " LIMIT 200000"})
		must(t, err)
		must(t, packed.Close())
		reader, err := gzip.NewReader(&buffer)
		must(t, err)
		unpacked, err := io.ReadAll(reader)
		must(t, err)
		if lines := bytes.Count(unpacked, []byte("\n")); lines != 200001 {
			t.Error(lines)
		}
		null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
		must(t, err)
		defer null.Close()
		_, err = conn.Export(ctx, null, Export{SQL: cities})
		must(t, err)
		nothingStays(t, before)
	})
}

// TestExportIntoAPipe: one that does not block, as Go's do not.
func TestExportIntoAPipe(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		output, input, err := os.Pipe()
		must(t, err)
		read := make(chan int)
		go func() {
			content, _ := io.ReadAll(output)
			read <- bytes.Count(content, []byte("\n"))
		}()
		_, err = conn.Export(ctx, input, Export{SQL: endlessRows + " LIMIT 500000"})
		must(t, err)
		input.Close()
		if lines := <-read; lines != 500001 {
			t.Error(lines)
		}
		output.Close()
	})
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("full")

func TestExportsThatFail(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		before := runtime.NumGoroutine()
		for _, sql := range []string{endlessRows, cities} {
			if _, err := conn.Export(ctx, full{}, Export{SQL: sql}); !errors.Is(err, errFull) {
				t.Error(err)
			}
		}
		var buffer bytes.Buffer
		var found *Error
		if _, err := conn.Export(ctx, &buffer, Export{SQL: "SELEC"}); !errors.As(err, &found) || found.Code != "syntax_error" {
			t.Error(err)
		}
		if _, err := conn.Export(ctx, &buffer, Export{SQL: cities, Format: "xml"}); !errors.As(err, &found) || found.Code != "bad_request" {
			t.Error(err)
		}
		if _, err := conn.Export(ctx, &buffer, Export{SQL: cities, Params: []any{struct{}{}}}); err == nil {
			t.Error("a struct was sent")
		}
		file, _ := create(t)
		reading, err := os.Open(file.Name())
		must(t, err)
		defer reading.Close()
		if _, err := conn.Export(ctx, reading, Export{SQL: cities}); !errors.As(err, &found) || found.Code != "bad_request" {
			t.Error(err)
		}
		file.Close()
		if _, err := conn.Export(ctx, file, Export{SQL: cities}); err == nil {
			t.Error("a closed file was written to")
		}
		if _, err := conn.Backup(ctx, &buffer, nil); !errors.As(err, &found) || found.SQLState != "0A000" {
			t.Error(err)
		}
		execute(t, ctx, conn, "SELECT 1")
		nothingStays(t, before)
	})
}

// TestFilesInMemory are written by this program: the daemon refuses them.
func TestFilesInMemory(t *testing.T) {
	file, err := os.CreateTemp("/dev/shm", "litebase-go-")
	if err != nil {
		t.Skip(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		_, err := conn.Export(ctx, file, Export{SQL: cities})
		must(t, err)
		if content, _ := os.ReadFile(file.Name()); string(content) != citiesCSV {
			t.Errorf("%q", content)
		}
	})
}

// TestWhatAConnectionCallsDoesNotUseIt: it would read replies that the connection waits for.
func TestWhatAConnectionCallsDoesNotUseIt(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		use := func() error { _, err := conn.exec(ctx, "SELECT 1", nil); return err }
		file, _ := create(t)
		called := 0
		_, err := conn.Export(ctx, file, Export{SQL: endlessRows + " LIMIT 5000000", OnProgress: func(int64) {
			called++
			if !errors.Is(use(), errAtWork) {
				t.Error("it was used")
			}
		}})
		must(t, err)
		if called == 0 {
			t.Error("nothing was told")
		}
		_, err = conn.Import(ctx, readerOf(func() error { return use() }), Import{Table: "city", Create: true})
		if !errors.Is(err, errAtWork) {
			t.Error(err)
		}
		must(t, use())
	})
}

// readerOf gives the error of a function.
type readerOf func() error

func (r readerOf) Read([]byte) (int, error) { return 0, r() }

func TestProgressAndTimeLimits(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		file, _ := create(t)
		told := []int64{}
		_, err := conn.Export(ctx, file, Export{SQL: endlessRows + " LIMIT 5000000", OnProgress: func(bytes int64) { told = append(told, bytes) }})
		must(t, err)
		for index := range told {
			if told[index] <= 0 || index > 0 && told[index] < told[index-1] {
				t.Error(told)
			}
		}
		if len(told) == 0 {
			t.Error("nothing was told")
		}
	})
	with(t, func(options *Options) { options.Timeout = 50 * time.Millisecond }, func(ctx context.Context, conn *Conn) {
		if _, err := conn.Export(ctx, io.Discard, Export{SQL: endlessRows}); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
	})
}

func TestBackup(t *testing.T) {
	with(t, byDefault, func(ctx context.Context, conn *Conn) {
		execute(t, ctx, conn, "CREATE TABLE t(a)", "INSERT INTO t "+endlessRows+" LIMIT 100000")
		file, content := create(t)
		copied, err := conn.Backup(ctx, file, func(bytes, total int64) {
			if bytes > total {
				t.Error(bytes, total)
			}
		})
		must(t, err)
		if whole := content(); int64(len(whole)) != copied || !strings.HasPrefix(whole, "SQLite format 3\x00") {
			t.Error(copied, len(whole))
		}
		copy, err := Connect(ctx, Options{Socket: conn.options.Socket, URL: "sqlite:" + file.Name(), ReadOnly: true})
		must(t, err)
		defer copy.Close()
		result, err := copy.query(ctx, "SELECT count(*) FROM t", nil)
		must(t, err)
		if row, _ := result.nextRow(); row[0] != int64(100000) {
			t.Error(row)
		}
	})
}

// TestContextsThatEndAtAnyMoment: the connection goes on, nothing is left behind, and the error says what is known.
func TestContextsThatEndAtAnyMoment(t *testing.T) {
	with(t, inMemory, func(ctx context.Context, conn *Conn) {
		before := runtime.NumGoroutine()
		for round := 0; round < 100; round++ {
			ended, cancel := context.WithTimeout(ctx, time.Duration(rand.Intn(10_000))*time.Microsecond)
			file, _ := create(t)
			var err error
			switch round % 4 {
			case 0:
				_, err = conn.Export(ended, file, Export{SQL: endlessRows})
			case 1:
				_, err = conn.Export(ended, io.Discard, Export{SQL: endlessRows})
			case 2:
				for err == nil {
					_, err = conn.Catalog(ended, CatalogQuery{Level: "columns"}, func(CatalogRow) error { return nil })
				}
			case 3:
				for err == nil {
					_, err = conn.Complete(ended, "SELECT ", 7, CompletionOptions{})
				}
			}
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(round, err)
			}
			execute(t, ctx, conn, "SELECT 1")
		}
		nothingStays(t, before)
	})
}

// cutter listens, and passes one connection on to a daemon, with its files, until so many bytes have come back.
func cutter(t *testing.T, daemon string, bytes int) (path string, over chan struct{}) {
	directory, err := os.MkdirTemp("", "litebase-go-")
	must(t, err)
	path, over = filepath.Join(directory, "cut.sock"), make(chan struct{})
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	go func() {
		defer close(over)
		defer os.RemoveAll(directory)
		client, err := listener.AcceptUnix()
		listener.Close()
		if err != nil {
			return
		}
		upstream, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: daemon, Net: "unix"})
		if err != nil {
			return
		}
		forwarded := make(chan struct{})
		go func() {
			defer close(forwarded)
			// Not the writing half alone: the daemon would go on telling a subscription.
			defer upstream.Close()
			buffer, rights := make([]byte, 4096), make([]byte, 256)
			for {
				count, size, _, _, err := client.ReadMsgUnix(buffer, rights)
				if err != nil || count == 0 {
					return
				}
				upstream.WriteMsgUnix(buffer[:count], rights[:size], nil)
				messages, _ := syscall.ParseSocketControlMessage(rights[:size])
				for _, message := range messages {
					descriptors, _ := syscall.ParseUnixRights(&message)
					for _, descriptor := range descriptors {
						syscall.Close(descriptor)
					}
				}
			}
		}()
		io.CopyN(client, upstream, int64(bytes))
		client.Close()
		upstream.Close()
		<-forwarded
	}()
	return path, over
}

// TestConnectionsThatEndAtAnyByte: of what changes nothing it is known that nothing was done, and nothing hangs or stays.
func TestConnectionsThatEndAtAnyByte(t *testing.T) {
	daemon := startDaemon(t)
	before := runtime.NumGoroutine()
	for number, request := range []func(context.Context, *Conn) error{
		func(ctx context.Context, conn *Conn) error {
			_, err := conn.Catalog(ctx, CatalogQuery{Level: "columns"}, func(CatalogRow) error { return nil })
			return err
		},
		func(ctx context.Context, conn *Conn) error {
			_, err := conn.Complete(ctx, "SELECT ", 7, CompletionOptions{})
			return err
		},
		func(ctx context.Context, conn *Conn) error {
			_, err := conn.Backup(ctx, io.Discard, nil)
			return err
		},
		func(ctx context.Context, conn *Conn) error {
			_, err := conn.Export(ctx, io.Discard, Export{SQL: cities})
			return err
		},
	} {
		for bytes, isWhole := 1, false; !isWhole; bytes += 61 {
			if bytes > 20_000 {
				t.Fatal("it never ends")
			}
			path, over := cutter(t, daemon.socket, bytes)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			conn, err := Connect(ctx, Options{Socket: path})
			if err == nil {
				err = request(ctx, conn)
				conn.Close()
			}
			cancel()
			<-over
			isWhole = err == nil
			if err != nil && !errors.Is(err, ErrConnectionLost) && !(number == 3 && errors.Is(err, ErrOutcomeUnknown)) {
				t.Fatal(number, bytes, err)
			}
		}
	}
	nothingStays(t, before)
}

func TestADaemonThatDies(t *testing.T) {
	for _, request := range []func(context.Context, *Conn) error{
		func(ctx context.Context, conn *Conn) error {
			_, err := conn.Export(ctx, io.Discard, Export{SQL: endlessRows})
			if !errors.Is(err, ErrOutcomeUnknown) {
				t.Error(err)
			}
			return err
		},
		func(ctx context.Context, conn *Conn) (err error) {
			for err == nil {
				_, err = conn.Catalog(ctx, CatalogQuery{Level: "columns"}, func(CatalogRow) error { return nil })
			}
			if !errors.Is(err, ErrConnectionLost) {
				t.Error(err)
			}
			return err
		},
		func(ctx context.Context, conn *Conn) (err error) {
			for err == nil {
				_, err = conn.Backup(ctx, io.Discard, nil)
			}
			if !errors.Is(err, ErrConnectionLost) {
				t.Error(err)
			}
			return err
		},
	} {
		daemon := startDaemon(t)
		conn, err := Connect(context.Background(), Options{Socket: daemon.socket})
		must(t, err)
		before := runtime.NumGoroutine()
		timer := time.AfterFunc(100*time.Millisecond, func() { daemon.process.Process.Kill() })
		if err := request(context.Background(), conn); err == nil {
			t.Error("nothing was noticed")
		}
		timer.Stop()
		if _, err := conn.Export(context.Background(), io.Discard, Export{SQL: cities}); !errors.Is(err, ErrConnectionLost) {
			t.Error(err)
		}
		nothingStays(t, before)
		conn.Close()
	}
}
