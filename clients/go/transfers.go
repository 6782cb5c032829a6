package litebase

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"os"
	"syscall"
)

// progressMilliseconds is how often OnProgress is called at most.
const progressMilliseconds = 100

// Export says whose rows are written, and how.
type Export struct {
	SQL string
	// Params are by position, or by name with sql.Named.
	Params []any
	// Format is "csv" if empty, "tsv", "json", "jsonl" or "arrow".
	Format string
	// NoHeader leaves out the names of columns (CSV, TSV).
	NoHeader bool
	// MaxRows is the most that are wanted, 0 for all.
	MaxRows int64
	// OnProgress is called about ten times a second with the bytes that are written.
	OnProgress func(bytes int64)
}

// ExportResult is what an export has written.
type ExportResult struct {
	Bytes, Rows int64
	// Truncated: MaxRows has cut the result.
	Truncated bool
}

// Export writes the rows of a statement. A file or a pipe (*os.File) is passed to the daemon, which writes into it from where it
// stands: the rows do not go through this program. Any other writer, and a file of a tmpfs, gets them by a pipe; what its Write returns
// ends the export.
// After an error there may be a part.
func (c *Conn) Export(ctx context.Context, to io.Writer, export Export) (ExportResult, error) {
	data := map[string]any{"sql": export.SQL, "session": c.session}
	if len(export.Params) > 0 {
		params, err := c.exportParams(export.Params)
		if err != nil {
			return ExportResult{}, err
		}
		data["params"] = params
	}
	if export.Format != "" {
		data["format"] = export.Format
	}
	if export.NoHeader {
		data["header"] = false
	}
	if export.MaxRows > 0 {
		data["max_rows"] = export.MaxRows
	}
	var onProgress func(reply map[string]any)
	if export.OnProgress != nil {
		onProgress = func(reply map[string]any) { export.OnProgress(numberOf(reply, "bytes", 0)) }
	}
	reply, err := c.transferTo(ctx, "export", data, to, onProgress)
	if err != nil {
		return ExportResult{}, err
	}
	result := ExportResult{Bytes: numberOf(reply, "bytes", 0), Rows: numberOf(reply, "row_count", 0)}
	result.Truncated, _ = reply["truncated"].(bool)
	return result, nil
}

func (c *Conn) exportParams(params []any) (any, error) {
	args := make([]driver.NamedValue, len(params))
	for index, value := range params {
		args[index] = driver.NamedValue{Ordinal: index + 1, Value: value}
		if named, isNamed := value.(sql.NamedArg); isNamed {
			args[index].Name, args[index].Value = named.Name, named.Value
		}
		if err := c.CheckNamedValue(&args[index]); err != nil {
			return nil, err
		}
	}
	return c.parameters(args)
}

// Backup copies a SQLite database of the daemon's configuration as it is at one moment, while others write to it. Where it is
// written to is as of Export; onProgress, where there is one, is called with the bytes that are copied and those of the database.
func (c *Conn) Backup(ctx context.Context, to io.Writer, onProgress func(bytes, total int64)) (bytes int64, err error) {
	if c.options.URL != "" {
		return 0, &Error{
			Code: "database_error", SQLState: "0A000", StatementIndex: -1, RowIndex: -1,
			Message: "Only databases of the daemon's configuration can be copied.", Hint: "Connect to it by its name.",
		}
	}
	data := map[string]any{}
	if c.options.Database != "" {
		data["database"] = c.options.Database
	}
	reply, err := c.transferTo(ctx, "backup", data, to, byteProgress(onProgress))
	return numberOf(reply, "bytes", 0), err
}

// byteProgress tells a program what a reply before the last one says.
func byteProgress(onProgress func(bytes, total int64)) func(reply map[string]any) {
	if onProgress == nil {
		return nil
	}
	return func(reply map[string]any) { onProgress(numberOf(reply, "bytes", 0), numberOf(reply, "total_bytes", 0)) }
}

// transferTo sends a request with a file that the daemon is to write into, and returns its last reply.
func (c *Conn) transferTo(
	ctx context.Context, kind string, data map[string]any, to io.Writer, onProgress func(reply map[string]any),
) (map[string]any, error) {
	if err := c.mayTransfer(ctx); err != nil {
		return nil, err
	}
	file, isFile := to.(*os.File)
	if isFile && isPassable(file) && !isInMemory(file) {
		return c.transfer(ctx, kind, data, file, onProgress, nil)
	}
	pump, err := newPump(to)
	if err != nil {
		return nil, err
	}
	reply, err := c.transfer(ctx, kind, data, pump.input, onProgress, nil)
	if failure := pump.end(err == nil); failure != nil {
		return nil, failure
	}
	return reply, err
}

// mayTransfer prepares for a request with a file.
func (c *Conn) mayTransfer(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.settle(); err != nil {
		return err
	}
	if !c.takesDescriptors {
		return errors.New("litebase: this daemon takes no files")
	}
	return nil
}

// transfer sends a request with a file, and returns its last reply. onProgress is called with those before it, onSent with the
// request's id when the daemon has the file; both may be nil.
func (c *Conn) transfer(
	ctx context.Context, kind string, data map[string]any, file *os.File,
	onProgress func(reply map[string]any), onSent func(id int64),
) (map[string]any, error) {
	c.isAtWork.Store(true)
	defer c.isAtWork.Store(false)
	data["descriptors"] = 1
	if onProgress != nil {
		data["progress_ms"] = progressMilliseconds
	}
	id, err := c.sendWith(ctx, file, kind, c.limited(data))
	if err != nil {
		return nil, err
	}
	if onSent != nil {
		onSent(id)
	}
	stop := c.watch(ctx, id)
	defer stop()
	if isDry, _ := data["dry_run"].(bool); isDry {
		// When the connection is lost, it has changed as little as a description.
		kind = "describe"
	}
	for {
		reply, err := c.reply(ctx, id, kind)
		if err != nil {
			return nil, err
		}
		if more, _ := reply["more"].(bool); !more {
			return reply, nil
		}
		if onProgress != nil {
			onProgress(reply)
		}
	}
}

// isPassable reports whether the daemon takes such a file.
func isPassable(file *os.File) bool {
	about, err := file.Stat()
	return err == nil && (about.Mode().IsRegular() || about.Mode()&os.ModeNamedPipe != 0)
}

// isInMemory reports whether what is written into a file would be the daemon's memory, which it refuses.
func isInMemory(file *os.File) bool {
	raw, err := file.SyscallConn()
	if err != nil {
		return false
	}
	var system syscall.Statfs_t
	if raw.Control(func(descriptor uintptr) { err = syscall.Fstatfs(int(descriptor), &system) }) != nil || err != nil {
		return false
	}
	switch uint32(system.Type) {
	case 0x01021994, 0x858458f6, 0x958458f6: // statfs(2): tmpfs, ramfs, hugetlbfs
		return true
	}
	return false
}

// write sends a frame, with a file where there is one: its descriptor goes with the first bytes, and only once.
func (c *Conn) write(frame []byte, file *os.File) error {
	if file == nil {
		_, err := c.socket.Write(frame)
		return err
	}
	// Not Fd(), which would make a pipe block this program's own threads.
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var sent int
	var failure error
	err = raw.Control(func(descriptor uintptr) {
		sent, _, failure = c.socket.WriteMsgUnix(frame, syscall.UnixRights(int(descriptor)), nil)
	})
	if err == nil {
		err = failure
	}
	if err == nil && sent < len(frame) {
		_, err = c.socket.Write(frame[sent:])
	}
	return err
}

// pump writes into a writer of the program what comes out of a pipe.
type pump struct {
	output, input *os.File
	ended         chan error
}

func newPump(to io.Writer) (*pump, error) {
	output, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &pump{output, input, make(chan error, 1)}
	go func() {
		_, err := io.Copy(writerOnly{to}, output)
		// A daemon that still writes gets EPIPE.
		output.Close()
		p.ended <- err
	}()
	return p, nil
}

// end waits until the goroutine has ended, for all that the daemon has written where that is wanted.
func (p *pump) end(isWanted bool) error {
	p.input.Close()
	if !isWanted {
		p.output.Close()
	}
	err := <-p.ended
	if errors.Is(err, os.ErrClosed) && !isWanted {
		return nil
	}
	return err
}

// writerOnly hides ReadFrom, which would take over the copying.
type writerOnly struct{ io.Writer }
