package litebase

import (
	"bufio"
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// frameBytesMax is more than any daemon sends: whoever announces it is none.
	frameBytesMax = 1 << 30
	// cancelPatience is how long a stopped statement's reply is waited for before the connection is given up.
	cancelPatience = 5 * time.Second
	// dropPatience is how long rows that nobody takes are read to their end, where stopping them would cost a transaction.
	dropPatience = 30 * time.Second
	// alwaysTakenMax: a frame with fewer bytes fits into the socket, where nothing but cancellations can be before it.
	alwaysTakenMax = 32 << 10
)

var errAtWork = errors.New(
	"litebase: the connection is at work: what it calls meanwhile, reads from or writes into cannot use it; take another one")

// Options say what to connect to. The zero value is the caller's default database at the socket where `litebase` looks for it.
type Options struct {
	// Database is a name of the daemon's configuration.
	Database string
	// URL is a database that is not configured, instead of a name: "sqlite:/srv/x.db", "sqlite::memory:", "postgresql://…".
	URL string
	// Socket is the path of the daemon's socket.
	Socket string
	// ReadOnly makes the daemon refuse what would write.
	ReadOnly bool
	// Timeout for each statement; the daemon keeps it. 0 is none. A context's deadline holds beside it.
	Timeout time.Duration
	// Begin is what begins a transaction, "BEGIN" if empty; with SQLite "BEGIN IMMEDIATE" waits for other writers at once.
	Begin string
	// TrustUsers may listen at the socket, beside root, litebase and the program's own user.
	TrustUsers []string
	// OnNotice is called with what the daemon or the database says beside results (docs/protocol.md, notices).
	OnNotice func(notice map[string]any)
}

// Conn is a session with one database. One statement runs at a time; it is for one goroutine at a time, as database/sql uses it.
type Conn struct {
	// Engine is "sqlite", "postgresql", "mysql" or "redis".
	Engine        string
	ServerVersion string

	options  Options
	socket   *net.UnixConn
	input    *bufio.Reader
	session  string
	frameMax int
	// takesDescriptors: the daemon takes files.
	takesDescriptors bool
	lastID           int64
	transaction      string
	// txContext is that of the transaction that database/sql has begun.
	txContext context.Context
	// failure is why the connection is of no use any more.
	failure error
	// unread is the result whose replies have not all come.
	unread *result
	// isAtWork: what is called meanwhile would read replies that others wait for.
	isAtWork atomic.Bool
	// sending is held while a frame is written: a cancellation must not come into the middle of another one.
	sending sync.Mutex
}

// Connect opens a session. A context that ends stops the attempt.
func Connect(ctx context.Context, options Options) (*Conn, error) {
	conn, err := dial(ctx, options)
	if err != nil {
		return nil, err
	}
	if err := conn.begin(ctx); err != nil {
		conn.socket.Close()
		return nil, err
	}
	return conn, nil
}

// dial connects, without a session.
func dial(ctx context.Context, options Options) (*Conn, error) {
	socket, err := openSocket(ctx, &options)
	if err != nil {
		return nil, err
	}
	return &Conn{
		options: options, socket: socket, input: bufio.NewReaderSize(socket, 64<<10), frameMax: 16 << 20, transaction: "none",
	}, nil
}

// greet says who this is, and whether it has a session: then it takes notices and passes files.
func (c *Conn) greet(ctx context.Context, hasSession bool) error {
	hello, err := c.Request(ctx, "hello", map[string]any{
		"client": filepath.Base(os.Args[0]), "protocol": []any{int64(1)}, "notices": hasSession, "descriptors": hasSession,
	})
	if err != nil {
		return err
	}
	if limits, isThere := hello["limits"].(map[string]any); isThere {
		c.frameMax = int(numberOf(limits, "frame_bytes_max", int64(c.frameMax)))
	}
	c.takesDescriptors, _ = hello["descriptors"].(bool)
	return nil
}

func (c *Conn) begin(ctx context.Context) error {
	if err := c.greet(ctx, true); err != nil {
		return err
	}
	wanted := map[string]any{}
	if c.options.Database != "" {
		wanted["database"] = c.options.Database
	}
	if c.options.URL != "" {
		wanted["url"] = c.options.URL
	}
	if c.options.ReadOnly {
		wanted["read_only"] = true
	}
	opened, err := c.Request(ctx, "db_connect", wanted)
	if err != nil {
		return err
	}
	c.session, c.Engine, c.ServerVersion = textOf(opened, "session"), textOf(opened, "engine"), textOf(opened, "server_version")
	return nil
}

// Close ends the session; an open transaction is rolled back.
func (c *Conn) Close() error {
	if c.failure == nil {
		c.failure = &Error{Code: codeConnectionLost, Message: "The connection was closed."}
	}
	return c.socket.Close()
}

// Request sends any request of the protocol that has one reply, such as "activity", "stats" or "describe", and returns its data.
func (c *Conn) Request(ctx context.Context, kind string, data map[string]any) (map[string]any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.settle(); err != nil {
		return nil, err
	}
	id, err := c.send(ctx, kind, data)
	if err != nil {
		return nil, err
	}
	stop := c.watch(ctx, id)
	defer stop()
	return c.reply(ctx, id, kind)
}

// Sending

func (c *Conn) send(ctx context.Context, kind string, data any) (int64, error) {
	return c.sendWith(ctx, nil, kind, data)
}

// sendWith sends a request with a file that the daemon is to write into, or to read. A context that ends before the daemon has taken
// all of it ends the connection: nothing of it is done.
func (c *Conn) sendWith(ctx context.Context, file *os.File, kind string, data any) (int64, error) {
	c.lastID++
	err := c.sendAs(ctx, c.lastID, kind, data, file)
	if errors.Is(err, driver.ErrBadConn) {
		c.lost(err)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	return c.lastID, err
}

// limited adds the time limit of a statement.
func (c *Conn) limited(data map[string]any) map[string]any {
	if c.options.Timeout > 0 {
		data["timeout_ms"] = int64(max(1, c.options.Timeout.Milliseconds()))
	}
	return data
}

// sendAs sends one frame, and a file along with it where there is one. For any goroutine.
func (c *Conn) sendAs(ctx context.Context, id any, kind string, data any, file *os.File) error {
	frame, err := appendValue(make([]byte, 4, 256), []field{{"id", id}, {"type", kind}, {"data", data}})
	if err != nil {
		return err
	}
	if len(frame)-4 > c.frameMax {
		return &Error{
			Code:    "frame_too_large",
			Message: fmt.Sprintf("The request has %d bytes; the daemon takes %d (frame_bytes_max).", len(frame)-4, c.frameMax),
			Hint:    "Send less at a time, or raise the limit in litebase.toml.",
		}
	}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	c.sending.Lock()
	defer c.sending.Unlock()
	defer c.limitWriting(ctx, len(frame))()
	if err := c.write(frame, file); err != nil {
		// The daemon begins nothing whose frame it has not got as a whole, so that database/sql may take another connection.
		return &Error{
			Code: codeConnectionLost, Message: fmt.Sprintf("The daemon closed the connection: %v.", err), cause: driver.ErrBadConn,
		}
	}
	return nil
}

// limitWriting ends the writing of a frame of so many bytes when the context ends, until the function that it returns is called.
func (c *Conn) limitWriting(ctx context.Context, bytes int) (stop func()) {
	if ctx.Done() == nil || bytes < alwaysTakenMax {
		return func() {}
	}
	written, isOver := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(isOver)
		select {
		case <-written:
		case <-ctx.Done():
			c.socket.SetWriteDeadline(time.Unix(1, 0))
		}
	}()
	return func() {
		close(written)
		<-isOver
		c.socket.SetWriteDeadline(time.Time{})
	}
}

// watch stops a request in the daemon when the context ends, until the function that it returns is called.
func (c *Conn) watch(ctx context.Context, id int64) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	ended, isOver := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(isOver)
		select {
		case <-ended:
			return
		case <-ctx.Done():
		}
		// Its reply is of no interest: the request says how it ended. It needs an id that no request has.
		c.sendCancel(id)
		patience := time.NewTimer(cancelPatience)
		defer patience.Stop()
		select {
		case <-ended:
		case <-patience.C:
			c.socket.SetReadDeadline(time.Unix(1, 0))
		}
	}()
	var once sync.Once
	return func() {
		once.Do(func() {
			close(ended)
			<-isOver
		})
	}
}

func (c *Conn) sendCancel(id int64) error {
	return c.sendAs(context.Background(), "cancel "+strconv.FormatInt(id, 10), "cancel", map[string]any{"request": id}, nil)
}

// Receiving

// lost notes why the connection is of no use any more.
func (c *Conn) lost(err error) error {
	if c.failure == nil {
		c.failure = err
	}
	return err
}

// next reads one message.
func (c *Conn) next() (map[string]any, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.input, head[:]); err != nil {
		return nil, err
	}
	count := binary.BigEndian.Uint32(head[:])
	if count > frameBytesMax {
		return nil, errMalformed
	}
	body := make([]byte, count)
	if _, err := io.ReadFull(c.input, body); err != nil {
		return nil, err
	}
	value, err := decode(body)
	message, isMap := value.(map[string]any)
	if err == nil && !isMap {
		err = errMalformed
	}
	return message, err
}

// reply waits for the next reply to a request, and takes notice of what else comes.
func (c *Conn) reply(ctx context.Context, id int64, kind string) (map[string]any, error) {
	for {
		message, err := c.next()
		if err != nil {
			return nil, c.lostBeneath(ctx, kind, err)
		}
		data, _ := message["data"].(map[string]any)
		if state := textOf(data, "transaction"); state != "" {
			c.transaction = state
		}
		isError := textOf(message, "type") == "error"
		switch {
		case message["id"] == any(id) && !isError:
			return data, nil
		case message["id"] == any(id):
			return nil, c.failed(ctx, errorOf(data))
		case message["id"] == nil && isError:
			// Of a request whose id could not be read, or of the connection.
			return nil, c.lost(errorOf(data))
		case message["id"] == nil && c.options.OnNotice != nil:
			c.notify(data)
		}
		// Anything else answers what nobody waits for any more: a `cancel`, or what was given up.
	}
}

func (c *Conn) notify(notice map[string]any) {
	wasAtWork := c.isAtWork.Swap(true)
	defer c.isAtWork.Store(wasAtWork)
	c.options.OnNotice(notice)
}

// failed completes what the daemon says of a request.
func (c *Conn) failed(ctx context.Context, found *Error) error {
	switch {
	case found.Code == "session_not_found":
		// A connection of this driver is its session. Nothing was done, so that database/sql may take another one.
		if c.transaction == "none" {
			found.cause = driver.ErrBadConn
		}
		return c.lost(found)
	case found.Code == "cancelled" && ctx.Err() != nil:
		found.cause = ctx.Err()
	}
	return found
}

// withoutEffect are requests whose fate is known when the connection is lost.
var withoutEffect = map[string]bool{
	"hello": true, "health_check": true, "list_databases": true, "db_connect": true, "describe": true, "activity": true,
	"stats": true, "catalog": true, "complete": true, "backup": true, "subscribe": true,
}

// lostBeneath is the error of a request whose connection was lost before its reply came.
func (c *Conn) lostBeneath(ctx context.Context, kind string, cause error) error {
	if ctx.Err() != nil {
		cause = ctx.Err()
	} else if c.failure != nil && errors.Is(cause, net.ErrClosed) {
		cause = c.failure
	}
	c.lost(&Error{Code: codeConnectionLost, Message: fmt.Sprintf("The connection is lost: %v.", cause), cause: cause})
	if withoutEffect[kind] {
		return c.failure
	}
	return &Error{
		Code: "outcome_unknown", SQLState: "08007",
		Message: "The connection was lost before the reply came: it is not known whether the request took effect.",
		Hint:    "Look before you do it again.", StatementIndex: -1, RowIndex: -1, cause: cause,
	}
}

// settle reads what the statement before this one still has, so that its rows are there when they are asked for.
func (c *Conn) settle() error {
	if c.isAtWork.Load() {
		return errAtWork
	}
	if c.failure != nil {
		return c.failure
	}
	if c.unread != nil {
		c.unread.readAll()
	}
	return c.failure
}

// Statements

// result is what a statement or a catalog gives: rows as they come, and what its last reply says.
type result struct {
	conn *Conn
	ctx  context.Context
	id   int64
	// kind is the type of the request.
	kind string
	stop func()
	// columns of the set whose rows are taken; nil before the first reply.
	columns []column
	rows    []any
	// later are replies of further sets that came while nobody took them.
	later       []map[string]any
	setHasEnded bool
	isComplete  bool
	err         error

	rowsAffected int64
	lastInsertID *int64
	// last is the data of the last reply.
	last map[string]any
}

type column struct{ name, kind, declared string }

// query runs a statement, and returns when the first of its rows are there.
func (c *Conn) query(ctx context.Context, sql string, args []driver.NamedValue) (*result, error) {
	data := map[string]any{"sql": sql}
	if c.Engine == "mysql" {
		data["result_sets"] = true
	}
	if len(args) > 0 {
		params, err := c.parameters(args)
		if err != nil {
			return nil, err
		}
		data["params"] = params
	}
	return c.open(ctx, "query", data)
}

// open sends a request with rows in the session, and returns when the first of them are there.
func (c *Conn) open(ctx context.Context, kind string, data map[string]any) (*result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.settle(); err != nil {
		return nil, err
	}
	data["session"] = c.session
	id, err := c.send(ctx, kind, c.limited(data))
	if err != nil {
		return nil, err
	}
	found := &result{conn: c, ctx: ctx, id: id, kind: kind, stop: c.watch(ctx, id)}
	if err := found.receive(); err != nil {
		return nil, err
	}
	return found, nil
}

func max(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}

// receive waits for the next reply.
func (r *result) receive() error {
	if r.err != nil {
		return r.err
	}
	data, err := r.conn.reply(r.ctx, r.id, r.kind)
	if err != nil {
		r.end(err)
		return err
	}
	if more, _ := data["more"].(bool); more {
		r.conn.unread = r
	} else {
		r.last = data
		r.rowsAffected = numberOf(data, "rows_affected", 0)
		if id, isNumber := data["last_insert_id"].(int64); isNumber {
			r.lastInsertID = &id
		}
		r.end(nil)
	}
	if r.setHasEnded {
		r.later = append(r.later, data)
	} else {
		r.take(data)
	}
	return nil
}

func (r *result) end(err error) {
	r.stop()
	r.err, r.isComplete = err, true
	if r.conn.unread == r {
		r.conn.unread = nil
	}
}

// take adds what a reply of the current set has.
func (r *result) take(data map[string]any) {
	if list, isThere := data["columns"].([]any); isThere {
		r.columns = make([]column, len(list))
		for index, item := range list {
			about, _ := item.(map[string]any)
			r.columns[index] = column{textOf(about, "name"), textOf(about, "type"), textOf(about, "declared_type")}
		}
	}
	rows, _ := data["rows"].([]any)
	if len(r.rows) == 0 {
		r.rows = rows
	} else {
		r.rows = append(r.rows, rows...)
	}
	_, r.setHasEnded = data["result_end"]
}

// nextRow is nil behind the last row of the set.
func (r *result) nextRow() ([]any, error) {
	for len(r.rows) == 0 {
		if r.setHasEnded || r.isComplete {
			return nil, r.err
		}
		if err := r.receive(); err != nil {
			return nil, err
		}
	}
	row, _ := r.rows[0].([]any)
	r.rows = r.rows[1:]
	return row, nil
}

// nextSet goes to the next set of a result that has several. It reports whether there is one.
func (r *result) nextSet() (bool, error) {
	for !r.setHasEnded && !r.isComplete {
		r.rows = nil
		if err := r.receive(); err != nil {
			return false, err
		}
	}
	r.rows = nil
	for len(r.later) == 0 && !r.isComplete {
		if err := r.receive(); err != nil {
			return false, err
		}
	}
	if len(r.later) == 0 || r.later[0]["columns"] == nil {
		return false, r.err
	}
	r.setHasEnded = false
	for len(r.later) > 0 && !r.setHasEnded {
		data := r.later[0]
		r.later = r.later[1:]
		r.take(data)
	}
	return true, nil
}

// readAll keeps the rest in memory.
func (r *result) readAll() {
	for !r.isComplete {
		if r.receive() != nil {
			return // Whoever asks for its rows gets the error.
		}
	}
}

// discard drops the rows that are not taken, and waits for the end of the statement, which is stopped.
//
// PostgreSQL would end the transaction with it: there, they are read, until the transaction's context ends or for dropPatience.
func (r *result) discard() error {
	r.rows, r.later = nil, nil
	if r.isComplete {
		return nil
	}
	var err error
	if mustGoOn := r.conn.Engine == "postgresql" && r.conn.transaction == "active" && r.kind == "query"; mustGoOn {
		ctx := r.conn.txContext
		if ctx == nil {
			ctx = context.Background() // The program's own BEGIN.
		}
		ctx, cancel := context.WithTimeout(ctx, dropPatience)
		defer cancel()
		defer r.conn.watch(ctx, r.id)()
	} else {
		err = r.conn.sendCancel(r.id)
		// A daemon that does not stop it is given up, as where a context ends.
		r.conn.socket.SetReadDeadline(time.Now().Add(cancelPatience))
		defer r.conn.socket.SetReadDeadline(time.Time{})
	}
	for err == nil && !r.isComplete {
		err = r.receive()
		r.rows, r.later = nil, nil
	}
	if errors.Is(err, ErrCancelled) {
		err = nil
	}
	return err
}

// exec runs a statement whose rows are not wanted.
func (c *Conn) exec(ctx context.Context, sql string, args []driver.NamedValue) (*result, error) {
	found, err := c.query(ctx, sql, args)
	for err == nil && !found.isComplete {
		found.rows, found.later = nil, nil
		err = found.receive()
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Statement is one of a batch. With Rows it is executed for each row of them.
type Statement struct {
	SQL    string
	Params []any
	Rows   [][]any
}

// BatchResult is what one statement of a batch did.
type BatchResult struct {
	RowsAffected int64
	LastInsertID int64
}

// Batch runs statements in one message: all of them or, where one fails, none. A result for each statement.
func (c *Conn) Batch(ctx context.Context, statements []Statement) ([]BatchResult, error) {
	list := make([]any, len(statements))
	for index, statement := range statements {
		item := []field{{"sql", statement.SQL}}
		switch {
		case statement.Rows != nil:
			rows := make([]any, len(statement.Rows))
			for number, row := range statement.Rows {
				adapted, err := c.adaptAll(row)
				if err != nil {
					return nil, err
				}
				rows[number] = adapted
			}
			item = append(item, field{"param_rows", rows})
		case statement.Params != nil:
			adapted, err := c.adaptAll(statement.Params)
			if err != nil {
				return nil, err
			}
			item = append(item, field{"params", adapted})
		}
		list[index] = item
	}
	reply, err := c.Request(ctx, "batch", c.limited(map[string]any{"session": c.session, "statements": list}))
	if err != nil {
		return nil, err
	}
	answers, _ := reply["results"].([]any)
	results := make([]BatchResult, len(answers))
	for index, answer := range answers {
		about, _ := answer.(map[string]any)
		results[index] = BatchResult{numberOf(about, "rows_affected", 0), numberOf(about, "last_insert_id", 0)}
	}
	return results, nil
}
