package litebase

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// Import says into which table rows are written, and how the file is taken: docs/protocol.md, Transfers.
type Import struct {
	Table string
	// Namespace is the table's schema, on MySQL its database.
	Namespace string
	// Columns are those for the fields of each line, in order. Without them they are those that the first line names, or all of the
	// table. In JSON, other keys are left out.
	Columns []string
	// Format is "csv" if empty, "tsv", "json", "jsonl" or "arrow".
	Format string
	// NoHeader: the first line is a row (CSV, TSV).
	NoHeader bool
	// Delimiter is one character, instead of the comma or the tab.
	Delimiter string
	// Null is what stands for null, instead of the empty field of CSV or \N of TSV.
	Null *string
	// Encoding is "utf-8", "utf-16le", "utf-16be" or "latin-1"; if empty, what the first bytes say.
	Encoding string
	// Create makes the table, with types by the first rows.
	Create bool
	// DryRun only looks at the file: nothing is changed.
	DryRun bool
	// Atomic leaves none of the rows where one is refused; on SQLite other writers wait until the end.
	Atomic bool
	// MaxRejected is how many lines may be refused, and be named in the result, before it is an error.
	MaxRejected int64
	// OnProgress is called about ten times a second.
	OnProgress func(progress ImportProgress)
}

// ImportProgress is how far an import is.
type ImportProgress struct {
	Bytes int64
	// TotalBytes of the file; 0 of a pipe.
	TotalBytes int64
	Rows       int64
	Rejected   int64
}

// ImportResult is what an import has done.
type ImportResult struct {
	// Bytes of the file.
	Bytes int64
	// Rows that were written; in a dry run, how many there are.
	Rows int64
	// RejectedCount is how many lines were refused, and Rejected has the first 100 of them.
	RejectedCount int64
	Rejected      []RejectedLine
	// Columns are those that the fields belong to.
	Columns []ImportedColumn
	// SQL is the statement that makes the table, where Create was wanted.
	SQL string
}

// RejectedLine is a line of the file, counted from 1, that is no row of the table.
type RejectedLine struct {
	Line   int64
	Reason string
}

// ImportedColumn is a column of the table. Type is such as "integer" or "any", empty where it is not known.
type ImportedColumn struct{ Name, Type string }

// Import writes the rows of a file into a table. A file or a pipe (*os.File) is passed to the daemon, which reads it from where it
// stands: the rows do not go through this program. Any other reader is read by a goroutine, and an error of its Read stops the import
// and is returned.
//
// The rows are committed as they go, in a transaction at its end. The message of an error has the line of the file, and its Detail
// says which rows are in the table.
func (c *Conn) Import(ctx context.Context, from io.Reader, into Import) (ImportResult, error) {
	if err := c.mayTransfer(ctx); err != nil {
		return ImportResult{}, err
	}
	var onProgress func(reply map[string]any)
	if into.OnProgress != nil {
		onProgress = func(reply map[string]any) {
			into.OnProgress(ImportProgress{
				Bytes: numberOf(reply, "bytes", 0), TotalBytes: numberOf(reply, "total_bytes", 0),
				Rows: numberOf(reply, "row_count", 0), Rejected: numberOf(reply, "rejected_count", 0),
			})
		}
	}
	data := into.data()
	data["session"] = c.session
	reply, err := c.transferFrom(ctx, "import", data, from, onProgress)
	if err != nil {
		return ImportResult{}, err
	}
	return importResult(reply), nil
}

// data of the request: what is said.
func (i *Import) data() map[string]any {
	data := map[string]any{"relation": i.Table}
	for key, value := range map[string]string{
		"namespace": i.Namespace, "format": i.Format, "delimiter": i.Delimiter, "encoding": i.Encoding,
	} {
		if value != "" {
			data[key] = value
		}
	}
	for key, value := range map[string]bool{"create": i.Create, "dry_run": i.DryRun, "atomic": i.Atomic} {
		if value {
			data[key] = true
		}
	}
	if i.NoHeader {
		data["header"] = false
	}
	if i.Null != nil {
		data["null"] = *i.Null
	}
	if i.MaxRejected != 0 {
		data["max_rejected"] = i.MaxRejected
	}
	if i.Columns != nil {
		columns := make([]any, len(i.Columns))
		for index, name := range i.Columns {
			columns[index] = name
		}
		data["columns"] = columns
	}
	return data
}

func importResult(reply map[string]any) ImportResult {
	result := ImportResult{
		Bytes: numberOf(reply, "bytes", 0), Rows: numberOf(reply, "row_count", 0),
		RejectedCount: numberOf(reply, "rejected_count", 0), SQL: textOf(reply, "sql"),
	}
	rejected, _ := reply["rejected"].([]any)
	for _, item := range rejected {
		entry, _ := item.(map[string]any)
		result.Rejected = append(result.Rejected, RejectedLine{numberOf(entry, "line", 0), textOf(entry, "reason")})
	}
	columns, _ := reply["columns"].([]any)
	for _, item := range columns {
		column, _ := item.(map[string]any)
		result.Columns = append(result.Columns, ImportedColumn{textOf(column, "name"), textOf(column, "type")})
	}
	return result
}

// Restore gives a SQLite database of the daemon's configuration the content of a file: a copy that Backup has made, or any other
// database file. What it is read from is as of Import; onProgress, where there is one, is called while it is read, with the bytes so
// far and those of the file, 0 of a pipe. It returns the latter.
//
// Programs that have the database open see the former content until Restore returns, and the new one from then on. Nothing is changed
// before the file was found to be whole, nor where there is an error, but for ErrOutcomeUnknown. Within a transaction it is an error.
func (c *Conn) Restore(ctx context.Context, from io.Reader, onProgress func(bytes, total int64)) (bytes int64, err error) {
	if c.options.URL != "" {
		return 0, &Error{
			Code: "database_error", SQLState: "0A000", StatementIndex: -1, RowIndex: -1,
			Message: "Only databases of the daemon's configuration can be restored.", Hint: "Connect to it by its name.",
		}
	}
	if err := c.mayTransfer(ctx); err != nil {
		return 0, err
	}
	if c.options.ReadOnly {
		// The request is none of the session, so that the daemon would not refuse it.
		return 0, &Error{Code: "read_only", StatementIndex: -1, RowIndex: -1, Message: "This connection can change nothing."}
	}
	if c.transaction != "none" {
		// It would wait for its own end, or go on reading what there was.
		return 0, errors.New("litebase: a transaction is open; commit it or roll it back before a restore")
	}
	data := map[string]any{}
	if c.options.Database != "" {
		data["database"] = c.options.Database
	}
	reply, err := c.transferFrom(ctx, "restore", data, from, byteProgress(onProgress))
	return numberOf(reply, "bytes", 0), err
}

// transferFrom sends a request with a file that the daemon is to read, and returns its last reply.
func (c *Conn) transferFrom(
	ctx context.Context, kind string, data map[string]any, from io.Reader, onProgress func(reply map[string]any),
) (map[string]any, error) {
	if file, isFile := from.(*os.File); isFile && isPassable(file) {
		return c.transfer(ctx, kind, data, file, onProgress, nil)
	}
	if from == nil {
		return nil, errors.New("litebase: there is nothing to read from")
	}
	feed, err := newFeed()
	if err != nil {
		return nil, err
	}
	defer feed.end() // Where OnProgress panics.
	reply, err := c.transfer(ctx, kind, data, feed.output, onProgress, func(id int64) {
		feed.begin(from, func() { c.sendCancel(id) })
	})
	if failure := feed.end(); failure != nil {
		return nil, failure
	}
	return reply, err
}

// feed writes into a pipe what a reader of the program has.
type feed struct {
	output, input *os.File
	// over is closed when the import has ended.
	over  chan struct{}
	ended chan error
	// isReading: it waits for the program's own reader.
	isReading atomic.Bool
	hasBegun  bool
	isOver    bool
}

func newFeed() (*feed, error) {
	output, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &feed{output: output, input: input, over: make(chan struct{}), ended: make(chan error, 1)}, nil
}

// begin is called when the daemon has the pipe, which it alone reads from now on. stop ends the import.
func (f *feed) begin(from io.Reader, stop func()) {
	f.output.Close()
	f.hasBegun = true
	go func() {
		err := f.copy(from)
		if err != nil {
			// Not the end of the file, which would be an import of a half: the pipe stays until the daemon has stopped.
			stop()
			<-f.over
		}
		f.input.Close()
		f.ended <- err
	}()
}

// copy returns the reader's error. That nobody reads the pipe any more is none.
func (f *feed) copy(from io.Reader) error {
	buffer := make([]byte, 256<<10)
	for {
		f.isReading.Store(true)
		count, err := from.Read(buffer)
		f.isReading.Store(false)
		if count > 0 {
			if _, failure := f.input.Write(buffer[:count]); failure != nil {
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// end is called when the import has ended, well or not. It returns the reader's error. A reader that waits is not waited for: its
// goroutine ends with it.
func (f *feed) end() error {
	if f.isOver {
		return nil
	}
	f.isOver = true
	close(f.over)
	f.output.Close()
	f.input.Close()
	if !f.hasBegun {
		return nil
	}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-f.ended:
			return err
		case <-look.C:
			if f.isReading.Load() {
				return nil
			}
		}
	}
}
