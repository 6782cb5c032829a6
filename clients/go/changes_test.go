package litebase

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"reflect"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
)

// listen begins changes on a connection of a pool; the test closes them at its end.
func listen(t *testing.T, db *sql.DB, query ChangesQuery) *Changes {
	t.Helper()
	changes, err := tryListen(context.Background(), db, query)
	must(t, err)
	t.Cleanup(func() { changes.Close() })
	return changes
}

func tryListen(ctx context.Context, db *sql.DB, query ChangesQuery) (changes *Changes, err error) {
	err = With(context.Background(), db, func(conn *Conn) error {
		changes, err = conn.Changes(ctx, query)
		return err
	})
	return changes, err
}

func next(t *testing.T, changes *Changes) Change {
	t.Helper()
	select {
	case change, isThere := <-changes.C:
		if !isThere {
			t.Fatal("the changes have ended: ", changes.Err())
		}
		return change
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is told")
	}
	return Change{}
}

// ended waits for the end of changes of which none is to come.
func ended(t *testing.T, changes *Changes) error {
	t.Helper()
	select {
	case change, isThere := <-changes.C:
		if isThere {
			t.Fatal("told: ", change)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no end")
	}
	return changes.Err()
}

func run(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := db.Exec(statement)
		must(t, err)
	}
}

func TestChanges(t *testing.T) {
	daemon := startDaemon(t)
	db := daemon.open(t)
	run(t, db, "CREATE TABLE city (name TEXT)", "CREATE TABLE street (name TEXT)")
	changes := listen(t, db, ChangesQuery{})
	if changes.Covers != "all_writers" || changes.Start == "" {
		t.Error(changes.Covers, changes.Start)
	}
	run(t, db, "INSERT INTO city VALUES ('Oslo')")
	change := next(t, changes)
	if !reflect.DeepEqual(change, Change{Position: change.Position, Relations: []string{"city"}}) {
		t.Error(change)
	}
	run(t, db, "CREATE TABLE river (name TEXT)")
	if change = next(t, changes); !change.Schema {
		t.Error(change)
	}

	// What is rolled back, and other relations, are not told.
	cities := listen(t, db, ChangesQuery{Relations: []string{"CITY"}})
	transaction, err := db.Begin()
	must(t, err)
	_, err = transaction.Exec("INSERT INTO city VALUES ('x')")
	must(t, err)
	must(t, transaction.Rollback())
	run(t, db, "INSERT INTO street VALUES ('y')")
	select {
	case change := <-cities.C:
		t.Error(change)
	case <-time.After(200 * time.Millisecond):
	}
	run(t, db, "INSERT INTO city VALUES ('z')")
	if change := next(t, cities); !reflect.DeepEqual(change.Relations, []string{"city"}) {
		t.Error(change)
	}
}

func TestChangesOfAnotherProgram(t *testing.T) {
	daemon := startDaemon(t)
	db := daemon.open(t)
	run(t, db, "CREATE TABLE city (name TEXT)")
	var number int
	var name, file string
	must(t, db.QueryRow("PRAGMA database_list").Scan(&number, &name, &file))
	changes := listen(t, db, ChangesQuery{})
	script := `import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute("INSERT INTO city VALUES ('out')"); c.commit()`
	output, err := exec.Command("python3", "-c", script, file).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(output))
	}
	if change := next(t, changes); change.Resync != "other_program" {
		t.Error(change)
	}
}

func TestChangesGoOn(t *testing.T) {
	db := startDaemon(t).open(t)
	run(t, db, "CREATE TABLE city (name TEXT)")
	former := listen(t, db, ChangesQuery{})
	must(t, former.Close())
	must(t, ended(t, former))
	run(t, db, "INSERT INTO city VALUES ('later')")
	if change := next(t, listen(t, db, ChangesQuery{From: former.Start})); !reflect.DeepEqual(change.Relations, []string{"city"}) {
		t.Error(change)
	}
	if change := next(t, listen(t, db, ChangesQuery{From: "0123456789abcdef.7"})); change.Resync != "position_unknown" {
		t.Error(change)
	}
}

// TestChangesOfABusyProgram: nothing piles up for it, and it hears of all; nor for one that has asked for it.
func TestChangesOfABusyProgram(t *testing.T) {
	for _, delay := range []time.Duration{0, 300 * time.Millisecond} {
		db := startDaemon(t).open(t)
		run(t, db, "CREATE TABLE city (name TEXT)", "CREATE TABLE street (name TEXT)")
		changes := listen(t, db, ChangesQuery{Delay: delay})
		for number := 0; number < 400; number++ {
			run(t, db, fmt.Sprintf("INSERT INTO %s VALUES ('busy')", []string{"city", "street"}[number/200]))
		}
		run(t, db, "CREATE TABLE last (a)")
		names, count := map[string]bool{}, 0
		for isLast := false; !isLast; count++ {
			change := next(t, changes)
			for _, name := range change.Relations {
				names[name] = true
			}
			isLast = change.Schema
		}
		if count > 8 || !names["city"] || !names["street"] {
			t.Error(count, names)
		}
	}
}

func TestChangesThatCannotBe(t *testing.T) {
	daemon := startDaemon(t)
	db := daemon.open(t)
	var found *Error
	if _, err := tryListen(context.Background(), db, ChangesQuery{Database: "no such"}); !errors.As(err, &found) || found.Code != "database_not_found" {
		t.Error(err)
	}
	if _, err := tryListen(context.Background(), db, ChangesQuery{Delay: -time.Second}); !errors.As(err, &found) || !strings.Contains(err.Error(), "delay_ms") {
		t.Error(err)
	}
	memory := daemon.open(t, func(options *Options) { options.URL = "sqlite::memory:" })
	if _, err := tryListen(context.Background(), memory, ChangesQuery{}); !errors.As(err, &found) || found.SQLState != "0A000" {
		t.Error(err)
	}
	run(t, db, "SELECT 1")
}

// TestChangesEnd ends them in each way, while somebody waits and while nobody does: nothing stays.
func TestChangesEnd(t *testing.T) {
	db := startDaemon(t).open(t)
	run(t, db, "CREATE TABLE city (name TEXT)")
	goroutines := runtime.NumGoroutine()
	for step := 0; step < 60; step++ {
		ctx, cancel := context.WithCancel(context.Background())
		if step%2 == 0 {
			time.AfterFunc(time.Duration(step)*100*time.Microsecond, cancel)
		}
		changes, err := tryListen(ctx, db, ChangesQuery{})
		if err != nil {
			// The context came first, at whatever moment.
			if !errors.Is(err, context.Canceled) {
				t.Fatal(step, err)
			}
			cancel()
			continue
		}
		if step%2 == 1 {
			if step%4 == 1 {
				run(t, db, "INSERT INTO city VALUES ('unread')")
			}
			must(t, changes.Close())
			must(t, changes.Close())
			for range changes.C {
				t.Log("one that was told before")
			}
			must(t, changes.Err())
		} else if err := ended(t, changes); !errors.Is(err, context.Canceled) {
			t.Fatal(step, err)
		}
		cancel()
	}
	// An end that nobody waits for.
	ctx, cancel := context.WithCancel(context.Background())
	_, err := tryListen(ctx, db, ChangesQuery{})
	must(t, err)
	run(t, db, "INSERT INTO city VALUES ('unread')")
	time.Sleep(50 * time.Millisecond)
	cancel()
	nothingStays(t, goroutines)
	run(t, db, "SELECT 1")
}

func TestChangesOfADaemonThatEnds(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		daemon := startDaemon(t)
		db := daemon.open(t)
		run(t, db, "CREATE TABLE city (name TEXT)")
		changes := listen(t, db, ChangesQuery{})
		run(t, db, "INSERT INTO city VALUES ('Oslo')")
		position := next(t, changes).Position
		must(t, daemon.process.Process.Signal(signal))
		err := ended(t, changes)
		var found *Error
		if !errors.Is(err, ErrConnectionLost) || !errors.As(err, &found) || (found.Code == "shutting_down") != (signal == syscall.SIGTERM) {
			t.Error(signal, err)
		}
		daemon.process.Wait()
		daemon.restart(t)
		again := listen(t, daemon.open(t), ChangesQuery{From: position})
		if change := next(t, again); change.Resync != "position_unknown" {
			t.Error(change)
		}
		run(t, daemon.open(t), "INSERT INTO city VALUES ('Bergen')")
		if change := next(t, again); !reflect.DeepEqual(change.Relations, []string{"city"}) {
			t.Error(change)
		}
	}
}

// TestChangesOfAConnectionThatEndsAtAnyByte end with an error that says so, and nothing stays; who goes on at their position is told of
// each commit once.
func TestChangesOfAConnectionThatEndsAtAnyByte(t *testing.T) {
	daemon := startDaemon(t)
	db := daemon.open(t)
	tables := []string{"a", "b", "c", "d"}
	for _, name := range append([]string{"last"}, tables...) {
		run(t, db, "CREATE TABLE "+name+" (name TEXT)")
	}
	conn, err := Connect(context.Background(), Options{Socket: daemon.socket})
	must(t, err)
	defer conn.Close()
	// take adds what is told until it is of all tables, and gives the position.
	take := func(changes *Changes, told *[]string, position string) string {
		for len(*told) < len(tables) {
			change, isThere := <-changes.C
			if !isThere {
				break
			}
			if change.Resync != "" {
				t.Error(change)
			}
			*told, position = append(*told, change.Relations...), change.Position
		}
		return position
	}
	before, begun, wentOn := runtime.NumGoroutine(), 0, 0
	for bytes, isWhole := 1, false; !isWhole; bytes += 7 {
		if bytes > 20_000 {
			t.Fatal("it never ends")
		}
		path, over := cutter(t, daemon.socket, bytes)
		// Its subscriptions have connections of their own, made with its options.
		conn.options.Socket = path
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		changes, err := conn.Changes(ctx, ChangesQuery{})
		if err == nil {
			begun++
			for _, name := range tables {
				run(t, db, "INSERT INTO "+name+" VALUES ('x')")
			}
			var told []string
			position := take(changes, &told, changes.Start)
			err = changes.Err()
			isWhole = err == nil
			changes.Close()
			if !isWhole {
				wentOn++
				others := listen(t, db, ChangesQuery{From: position})
				take(others, &told, position)
				// Nothing of them comes again.
				run(t, db, "INSERT INTO last VALUES ('x')")
				if change := next(t, others); !reflect.DeepEqual(change.Relations, []string{"last"}) {
					t.Error(bytes, change)
				}
				must(t, others.Close())
			}
			// What is told together has no order.
			if sort.Strings(told); !reflect.DeepEqual(told, tables) {
				t.Fatal(bytes, told)
			}
		}
		if !isWhole && !errors.Is(err, ErrConnectionLost) {
			t.Fatal(bytes, err)
		}
		cancel()
		<-over
	}
	if begun < 10 || wentOn < 10 {
		t.Error(begun, wentOn)
	}
	nothingStays(t, before)
}

func TestChangesFollowedByChanges(t *testing.T) {
	one, two := Change{"a.1", []string{"x", "y"}, false, "", nil}, Change{"a.2", []string{"y", "z"}, true, "", nil}
	if both := one.followedBy(two); !reflect.DeepEqual(both, Change{"a.2", []string{"x", "y", "z"}, true, "", nil}) {
		t.Error(both)
	}
	if all := two.followedBy(Change{Position: "a.3", Resync: "replaced"}).followedBy(one); all.Resync != "replaced" {
		t.Error(all)
	}
	many := Change{Position: "a.4"}
	for number := 0; number < relationsMax; number++ {
		many.Relations = append(many.Relations, fmt.Sprint(number))
	}
	if all := many.followedBy(two); !reflect.DeepEqual(all, Change{"a.2", nil, true, "too_many", nil}) {
		t.Error(all)
	}
}

func TestVectorsOfChanges(t *testing.T) {
	type told struct {
		Position  string
		Relations []string
		Schema    bool
		Resync    string
		Message   *struct {
			Channel, Payload nativeVector
			Pattern          *nativeVector
			PID              int64
		}
	}
	type line struct {
		Name    string
		Msgpack []string
		Changes []told
	}
	count, messages := 0, 0
	for _, vector := range linesOf[line](t, "replies.jsonl") {
		for index, wanted := range vector.Changes {
			message, err := decode(fromHex(t, vector.Msgpack[index]))
			must(t, err)
			data := message.(map[string]any)["data"].(map[string]any)
			change := Change{Position: wanted.Position, Relations: wanted.Relations, Schema: wanted.Schema, Resync: wanted.Resync}
			if said := wanted.Message; said != nil {
				change.Message = &ChannelMessage{Channel: fmt.Sprintf("%s", said.Channel.value(t)), Payload: fmt.Sprintf("%s", said.Payload.value(t)), PID: said.PID}
				if said.Pattern != nil {
					change.Message.Pattern = fmt.Sprintf("%s", said.Pattern.value(t))
				}
				messages++
			}
			if len(change.Relations) == 0 {
				change.Relations = nil
			}
			if found := changeOf(data); !reflect.DeepEqual(found, change) {
				t.Errorf("%s: %v, not %v", vector.Name, found, change)
			}
			count++
		}
	}
	if count < 5 || messages < 4 {
		t.Error(count, messages)
	}
}
