package litebase

import (
	"database/sql"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// daemonPath is the program under test: LITEBASED, or what `make build` has made.
func daemonPath(t testing.TB) string {
	if path := os.Getenv("LITEBASED"); path != "" {
		return path
	}
	path, err := filepath.Abs("../../.build/release/litebased")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

type testDaemon struct {
	socket, directory string
	process           *exec.Cmd
}

// startDaemon starts a daemon of its own in a directory of its own, until the test ends.
func startDaemon(t testing.TB) *testDaemon {
	directory, err := os.MkdirTemp("", "litebase-go-")
	if err != nil {
		t.Fatal(err)
	}
	daemon := &testDaemon{socket: filepath.Join(directory, "litebase.sock"), directory: directory}
	t.Cleanup(func() {
		if daemon.process.Process != nil {
			daemon.process.Process.Kill()
			daemon.process.Wait()
		}
		os.RemoveAll(directory)
	})
	daemon.restart(t)
	return daemon
}

// restart starts the program, on the files that a former one has left.
func (daemon *testDaemon) restart(t testing.TB) {
	directory := daemon.directory
	daemon.process = exec.Command(daemonPath(t), "--listen", "standalone", "--socket", daemon.socket)
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); !strings.HasPrefix(name, "LITEBASE") && !strings.HasPrefix(name, "XDG_") {
			daemon.process.Env = append(daemon.process.Env, entry)
		}
	}
	daemon.process.Env = append(daemon.process.Env, "HOME="+directory, "XDG_STATE_HOME="+directory, "XDG_RUNTIME_DIR="+directory, "STATE_DIRECTORY="+directory)
	if err := daemon.process.Start(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 15*time.Second; time.Sleep(5 * time.Millisecond) {
		if probe, err := net.Dial("unix", daemon.socket); err == nil {
			probe.Close()
			return
		}
	}
	t.Fatal("the daemon does not accept connections")
}

// open gives a pool for the default database of a daemon.
func (d *testDaemon) open(t testing.TB, change ...func(*Options)) *sql.DB {
	options := Options{Socket: d.socket}
	for _, apply := range change {
		apply(&options)
	}
	db := sql.OpenDB(Connector{options})
	t.Cleanup(func() { db.Close() })
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
