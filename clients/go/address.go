package litebase

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	systemSocket = "/run/litebase/litebase.sock"
	socketName   = "litebase/litebase.sock"
	daemonUser   = "litebase"
)

// socketCandidates are the paths at which a client without a name for it looks for the socket (docs/protocol.md), the first one
// first. None is in a directory where everybody may put one, such as /tmp.
func socketCandidates() []string {
	if named := os.Getenv("LITEBASE_SOCKET"); named != "" {
		return []string{named}
	}
	var paths []string
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		paths = append(paths, filepath.Join(runtime, socketName))
	}
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		if home, err := os.UserHomeDir(); err == nil {
			state = filepath.Join(home, ".local/state")
		}
	}
	if state != "" {
		paths = append(paths, filepath.Join(state, socketName))
	}
	return append(paths, systemSocket)
}

func findSocket() (string, error) {
	paths := socketCandidates()
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	if os.Getenv("LITEBASE_SOCKET") != "" {
		return paths[0], nil // Named: connect(2) says what is wrong with it.
	}
	return "", &Error{
		Code: codeConnectionLost, Message: "There is no socket of litebased at " + strings.Join(paths, ", ") + ".",
		Hint: "Start it (systemctl start litebase.socket), or name its socket in LITEBASE_SOCKET.",
	}
}

// openSocket connects, and checks who listens.
func openSocket(ctx context.Context, options *Options) (*net.UnixConn, error) {
	path := options.Socket
	if path == "" {
		var err error
		if path, err = findSocket(); err != nil {
			return nil, err
		}
	}
	var dialer net.Dialer
	opened, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, os.ErrPermission) {
			return nil, &Error{
				Code: "permission_denied", Message: fmt.Sprintf("The socket %s is not open to you.", path),
				Hint: "Ask the administrator to add you to the socket's group; it counts from your next login.", cause: err,
			}
		}
		return nil, &Error{
			Code: codeConnectionLost, Message: fmt.Sprintf("Cannot connect to %s: %v.", path, err),
			Hint: "Is litebased running? Try: litebase ping", cause: err,
		}
	}
	connection := opened.(*net.UnixConn)
	if err := checkPeer(connection, path, options.TrustUsers); err != nil {
		connection.Close()
		return nil, err
	}
	return connection, nil
}

// checkPeer asks the kernel who listens (SO_PEERCRED, unix(7)); a path does not say.
func checkPeer(connection *net.UnixConn, path string, trusted []string) error {
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	var credentials *syscall.Ucred
	var failure error
	if err := raw.Control(func(descriptor uintptr) {
		credentials, failure = syscall.GetsockoptUcred(int(descriptor), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failure != nil {
		return failure
	}
	if isTrusted(credentials.Uid, trusted) {
		return nil
	}
	name := "nobody of this machine"
	if known, err := user.LookupId(strconv.FormatUint(uint64(credentials.Uid), 10)); err == nil {
		name = known.Username
	}
	return &Error{
		Code: codeUntrusted,
		Message: fmt.Sprintf("The user %s (uid %d) listens at %s, who is neither root, nor %s, nor you. Nothing was sent.",
			name, credentials.Uid, path, daemonUser),
		Hint: "If that is right, name the user: Options.TrustUsers or LITEBASE_TRUSTED_USERS.",
	}
}

func isTrusted(uid uint32, more []string) bool {
	if uid == 0 || uid == uint32(os.Geteuid()) {
		return true
	}
	named := strings.FieldsFunc(os.Getenv("LITEBASE_TRUSTED_USERS"), func(r rune) bool { return r == ',' || r == ' ' })
	number := strconv.FormatUint(uint64(uid), 10)
	for _, name := range append(append([]string{daemonUser}, named...), more...) {
		if name == number {
			return true
		}
		if known, err := user.Lookup(name); err == nil && known.Uid == number {
			return true
		}
	}
	return false
}
