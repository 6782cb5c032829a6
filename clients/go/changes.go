package litebase

import (
	"context"
	"math"
	"sync"
	"time"
)

// relationsMax: with more names than the daemon itself tells, a change says only that something has changed.
const relationsMax = 1000

// ChangesQuery says what to tell of. The zero value is every change of the connection's database.
type ChangesQuery struct {
	// Relations are names of tables, whatever their case; all if there are none.
	Relations []string
	// Channels are those of PostgreSQL and Redis, whose tables do not tell: each change is a message that is sent to one of them.
	Channels []string
	// Patterns are of names of channels (Redis).
	Patterns []string
	// Database is a name of the daemon's configuration, instead of the connection's.
	Database string
	// From is where other changes have come to (Change.Position), to go on there.
	From string
	// Delay is for how long changes are gathered; 0 tells each commit by itself, as long as the program keeps up.
	Delay time.Duration
}

// ChannelMessage is what was sent to a channel of the server. Texts are as they were sent, also where they are no UTF-8.
type ChannelMessage struct {
	Channel, Payload string
	// Pattern is by what it was heard, where that is one of ChangesQuery.Patterns.
	Pattern string
	// PID is the sender's process on the server, where it tells that (PostgreSQL).
	PID int64
}

// Change is what one commit has changed, or some together. Who reads the database after it was told sees it. Or it is a message.
type Change struct {
	// Position is what was told up to here, for ChangesQuery.From.
	Position string
	// Relations are the tables that were changed, each once.
	Relations []string
	// Schema: tables, columns, indexes, views or triggers were made, altered or dropped.
	Schema bool
	// Resync is why it is not known what has changed, such as "other_program" (docs/protocol.md, Subscriptions): whatever was read
	// before has to be read again. It is empty where Relations are all.
	Resync string
	// Message is there in changes of channels, but where some were missed, which Resync says.
	Message *ChannelMessage
}

func changeOf(data map[string]any) Change {
	change := Change{Position: textOf(data, "position")}
	names, _ := data["relations"].([]any)
	for _, name := range names {
		if text, isText := name.(string); isText {
			change.Relations = append(change.Relations, text)
		}
	}
	change.Schema, _ = data["schema"].(bool)
	if resync, _ := data["resync"].(bool); resync {
		if change.Resync = textOf(data, "reason"); change.Resync == "" {
			// One that is not told is still one.
			change.Resync = "unknown"
		}
	}
	if data["channel"] != nil {
		change.Message = &ChannelMessage{
			Channel: bytesOf(data, "channel"), Payload: bytesOf(data, "payload"), Pattern: bytesOf(data, "pattern"), PID: numberOf(data, "pid", 0),
		}
	}
	return change
}

// bytesOf gives a text, which is a blob where it is no UTF-8.
func bytesOf(data map[string]any, key string) string {
	if blob, isBlob := data[key].([]byte); isBlob {
		return string(blob)
	}
	return textOf(data, key)
}

// followedBy is a change and one that came behind it, as one; for what are no messages.
func (c Change) followedBy(later Change) Change {
	both := Change{Position: later.Position, Schema: c.Schema || later.Schema, Resync: c.Resync}
	if both.Resync == "" {
		both.Resync = later.Resync
	}
	seen := map[string]bool{}
	for _, names := range [][]string{c.Relations, later.Relations} {
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				both.Relations = append(both.Relations, name)
			}
		}
	}
	if len(both.Relations) > relationsMax {
		both.Relations = nil
		if both.Resync == "" {
			both.Resync = "too_many"
		}
	}
	return both
}

// Changes are what changes in a database, until they are closed, their context ends, or the daemon ends them:
//
//	for change := range changes.C {
//		…
//	}
//	return changes.Err()
//
// While the program is busy nothing is kept for it: what has happened is told together. Of messages the daemon keeps some.
type Changes struct {
	// C gives the changes. It is closed at the end.
	C <-chan Change
	// Covers is what is told: "all_writers", every commit, also of other programs; "daemon_writers", those that the daemon makes;
	// "channels", every message that is sent to them.
	Covers string
	// Start is where they begin, for ChangesQuery.From before anything is told.
	Start string

	conn  *Conn
	close sync.Once
	// closed: the program wants no more.
	closed chan struct{}
	// ended: nothing more is received, for the reason err.
	ended chan struct{}

	lock sync.Mutex
	err  error
}

// Changes tells what changes in a database: who reads after this has returned is told of every later commit. It has a connection of
// its own, made with the options of this one, which is free again at once: see With. Close it, or end the context.
func (c *Conn) Changes(ctx context.Context, query ChangesQuery) (*Changes, error) {
	data, err := c.changesData(query)
	if err != nil {
		return nil, err
	}
	options := c.options
	options.OnNotice = nil
	conn, err := dial(ctx, options)
	if err != nil {
		return nil, err
	}
	changes, err := conn.subscribe(ctx, data)
	if err != nil {
		conn.socket.Close()
		return nil, err
	}
	return changes, nil
}

func (c *Conn) changesData(query ChangesQuery) (map[string]any, error) {
	data := map[string]any{}
	switch {
	case query.Database != "":
		data["database"] = query.Database
	case c.options.URL != "":
		return nil, &Error{
			Code: "database_error", SQLState: "0A000", StatementIndex: -1, RowIndex: -1,
			Message: "Only databases of the daemon's configuration tell what changes.", Hint: "Name one: ChangesQuery.Database.",
		}
	case c.options.Database != "":
		data["database"] = c.options.Database
	}
	for key, said := range map[string][]string{"relations": query.Relations, "channels": query.Channels, "patterns": query.Patterns} {
		if len(said) > 0 {
			names := make([]any, len(said))
			for index, name := range said {
				names[index] = name
			}
			data[key] = names
		}
	}
	if query.From != "" {
		data["from"] = query.From
	}
	if query.Delay != 0 {
		data["delay_ms"] = int64(math.Ceil(float64(query.Delay) / float64(time.Millisecond)))
	}
	return data, nil
}

// subscribe waits for the first reply, and has the others read from then on.
func (c *Conn) subscribe(ctx context.Context, data map[string]any) (*Changes, error) {
	if err := c.greet(ctx, false); err != nil {
		return nil, err
	}
	id, err := c.send(ctx, "subscribe", data)
	if err != nil {
		return nil, err
	}
	stop := c.watch(ctx, id)
	reply, err := c.change(ctx, id)
	stop()
	if err != nil {
		return nil, err
	}
	first, told := changeOf(reply), make(chan Change)
	changes := &Changes{
		C: told, Covers: textOf(reply, "covers"), Start: first.Position, conn: c,
		closed: make(chan struct{}), ended: make(chan struct{}),
	}
	received := make(chan Change)
	go changes.receive(ctx, id, received)
	go changes.tell(ctx, first, received, told)
	go func() {
		// The daemon ends a subscription with its connection.
		defer c.socket.Close()
		select {
		case <-ctx.Done():
		case <-changes.closed:
		case <-changes.ended:
		}
	}()
	return changes, nil
}

// change waits for the next reply of a subscription.
func (c *Conn) change(ctx context.Context, id int64) (map[string]any, error) {
	reply, err := c.reply(ctx, id, "subscribe")
	if more, _ := reply["more"].(bool); err == nil && !more {
		err = c.lost(errMalformed)
	}
	return reply, err
}

// receive reads what the daemon tells.
func (c *Changes) receive(ctx context.Context, id int64, received chan<- Change) {
	defer close(received)
	defer close(c.ended)
	for {
		reply, err := c.conn.change(ctx, id)
		if err != nil {
			c.end(ctx, err)
			return
		}
		select {
		case received <- changeOf(reply):
		case <-c.closed:
			return
		case <-ctx.Done():
			c.end(ctx, nil)
			return
		}
	}
}

// end notes why no more is told: no error where the program has closed it.
func (c *Changes) end(ctx context.Context, err error) {
	select {
	case <-c.closed:
		return
	default:
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.err = err
}

// tell gives the program what was received, together while it is busy; but messages come one by one, and none is received before the
// one before it was told.
func (c *Changes) tell(ctx context.Context, first Change, received <-chan Change, told chan<- Change) {
	defer close(told)
	var pending []Change
	if first.Resync != "" {
		pending = append(pending, first)
	}
	for received != nil || len(pending) > 0 {
		var to chan<- Change
		var change Change
		from := received
		if len(pending) > 0 {
			to, change = told, pending[0]
			if pending[len(pending)-1].Message != nil {
				from = nil
			}
		}
		select {
		case to <- change:
			pending = pending[1:]
		case change, isThere := <-from:
			switch {
			case !isThere:
				received = nil
			case len(pending) > 0 && change.Message == nil:
				pending[0] = pending[0].followedBy(change)
			default:
				pending = append(pending, change)
			}
		case <-c.closed:
			return
		case <-ctx.Done():
			c.end(ctx, nil)
			return
		}
	}
}

// Err is why C was closed: the context's error, what the daemon said, or ErrConnectionLost; nil after Close, and as long as C is open.
func (c *Changes) Err() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.err
}

// Close ends it. C is closed soon. For any goroutine, also more than once.
func (c *Changes) Close() error {
	c.close.Do(func() { close(c.closed) })
	return nil
}
