package litebase

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// said is what a step of a program has returned, and whether it had come to its last word, the one that commits.
type said struct {
	err     error
	isAtEnd bool
}

const writeStep = "INSERT INTO written VALUES (?, ?)"

// steps writes a row with the number in each of three ways, and reads in between. A pool goes on where one of its connections is lost.
func steps(ctx context.Context, db *sql.DB, number int) map[string]said {
	told := map[string]said{}
	_, err := db.ExecContext(ctx, writeStep, number, "single")
	told["single"] = said{err, true}
	err = With(ctx, db, func(conn *Conn) error {
		_, err := conn.Batch(ctx, []Statement{{SQL: writeStep, Rows: [][]any{{number, "batch"}}}, {SQL: "SELECT 1"}})
		return err
	})
	told["batch"] = said{err, true}
	if rows, err := db.QueryContext(ctx, "SELECT a FROM many"); err == nil {
		for rows.Next() {
			continue
		}
		rows.Close()
	}
	told["transaction"] = func() said {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return said{err, false}
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, writeStep, number, "transaction"); err != nil {
			return said{err, false}
		}
		return said{tx.Commit(), true}
	}()
	return told
}

// checkSteps compares what was said with what is there. It reports whether all was done.
func checkSteps(t *testing.T, witness *sql.DB, number int, told map[string]said, about ...any) bool {
	t.Helper()
	isDone := true
	for step, said := range told {
		var rows int
		must(t, witness.QueryRow("SELECT count(*) FROM written WHERE number = ? AND step = ?", number, step).Scan(&rows))
		isUnknown := said.isAtEnd && errors.Is(said.err, ErrOutcomeUnknown)
		if rows > 1 || said.err == nil && rows != 1 || said.err != nil && !isUnknown && rows != 0 {
			t.Fatalf("%v: %s has said %v, and there are %d rows", about, step, said.err, rows)
		}
		isDone = isDone && said.err == nil
	}
	return isDone
}

func prepareSteps(t *testing.T, db *sql.DB) {
	run(t, db, "CREATE TABLE written(number, step)", "CREATE TABLE many(a)",
		"INSERT INTO many SELECT 'xxxxxxxxxxxxxxxxxxxx' FROM ("+endlessRows+" LIMIT 20)")
}

// cutFirst passes connections on to a daemon, of which it ends the first one behind so many bytes in one of the directions.
func cutFirst(t *testing.T, upstream string, toDaemon bool, bytes int64) (path string, end func() (connections int)) {
	t.Helper()
	directory, err := os.MkdirTemp("", "litebase-go-")
	must(t, err)
	path = filepath.Join(directory, "cut.sock")
	listener, err := net.Listen("unix", path)
	must(t, err)
	var open sync.WaitGroup
	connections := 0
	forward := func(client net.Conn, isFirst bool) {
		defer open.Done()
		defer client.Close()
		daemon, err := net.Dial("unix", upstream)
		if err != nil {
			return
		}
		defer daemon.Close()
		over := make(chan struct{}, 2)
		pass := func(to io.Writer, from io.Reader, isCut bool) {
			if isCut {
				from = io.LimitReader(from, bytes)
			}
			io.Copy(to, from)
			over <- struct{}{}
		}
		go pass(daemon, client, isFirst && toDaemon)
		go pass(client, daemon, isFirst && !toDaemon)
		<-over
		client.Close()
		daemon.Close()
		<-over
	}
	open.Add(1)
	go func() {
		defer open.Done()
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			connections++
			open.Add(1)
			go forward(client, connections == 1)
		}
	}()
	return path, func() int {
		listener.Close()
		open.Wait()
		os.RemoveAll(directory)
		return connections
	}
}

// sessionsAreOver waits until the daemon has no session but that of the witness.
func sessionsAreOver(t *testing.T, witness *sql.DB) {
	t.Helper()
	witness.SetMaxOpenConns(1)
	for begin := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		var open int64
		must(t, With(context.Background(), witness, func(conn *Conn) error {
			reply, err := conn.Request(context.Background(), "stats", nil)
			sessions, _ := reply["sessions"].(map[string]any)
			open = numberOf(sessions, "open", 0)
			return err
		}))
		if open == 1 {
			return
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal(open, "sessions stay")
		}
	}
}

// TestStepsOfAConnectionThatEndsAtAnyByte: whatever was lost, nothing hangs, nothing is done twice, also by database/sql, which tries
// again where the driver says that nothing was done, and the error says what is known.
func TestStepsOfAConnectionThatEndsAtAnyByte(t *testing.T) {
	daemon := startDaemon(t)
	witness := daemon.open(t)
	prepareSteps(t, witness)
	before := runtime.NumGoroutine()
	number, unknown := 0, 0
	for _, toDaemon := range []bool{true, false} {
		bytes, isWhole := int64(1), false
		for ; !isWhole; bytes += map[bool]int64{true: 13, false: 37}[toDaemon] {
			number++
			path, end := cutFirst(t, daemon.socket, toDaemon, bytes)
			db := sql.OpenDB(Connector{Options{Socket: path}})
			db.SetMaxOpenConns(1)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			told := steps(ctx, db, number)
			must(t, ctx.Err())
			cancel()
			db.Close()
			connections := end()
			// What the daemon has got of it, it does or rolls back before it says so to somebody else.
			sessionsAreOver(t, witness)
			isDone := checkSteps(t, witness, number, told, "cut behind", bytes, "bytes, to the daemon:", toDaemon)
			isWhole = isDone && connections == 1
			for _, said := range told {
				if errors.Is(said.err, ErrOutcomeUnknown) {
					unknown++
				}
			}
			if bytes > 50_000 {
				t.Fatal("it never ends")
			}
		}
		if bytes < 500 {
			t.Error("it has ended behind few bytes:", bytes)
		}
	}
	if unknown == 0 {
		t.Error("nothing was cut while it ran")
	}
	nothingStays(t, before)
}

// TestStepsWithContextsThatEndAtAnyMoment: who gets no error has done it, and who gets one has not; the connections go on.
func TestStepsWithContextsThatEndAtAnyMoment(t *testing.T) {
	daemon := startDaemon(t)
	witness, db := daemon.open(t), daemon.open(t)
	prepareSteps(t, witness)
	run(t, db, "SELECT 1")
	before := runtime.NumGoroutine()
	done, ended := 0, 0
	for number := 1; number <= 100 || done < 10 || ended < 10; number++ {
		// As long as the steps take, about, whatever the machine is busy with.
		limit := time.Duration(rand.Intn(2_000)) * time.Microsecond * time.Duration(1+number%8*(number/100+1))
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		told := steps(ctx, db, number)
		cancel()
		for step, said := range told {
			isContext := errors.Is(said.err, context.DeadlineExceeded) || errors.Is(said.err, ErrCancelled) || errors.Is(said.err, sql.ErrTxDone)
			if said.err != nil && !isContext {
				t.Fatal(number, step, said.err)
			}
		}
		if checkSteps(t, witness, number, told, "round", number, "within", limit) {
			done++
		} else {
			ended++
		}
		if number > 5_000 {
			t.Fatal(done, "were done,", ended, "were ended")
		}
	}
	run(t, db, "SELECT 1")
	nothingStays(t, before)
}
