package webext

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// maxRemote bounds one message of a browser to its driver, in bytes. The largest are screenshots.
const maxRemote = 64 << 20

// A remote is a browser's end for drivers: the Chrome DevTools Protocol and WebDriver BiDi both number calls and answer them in
// any order. Events are not listened to.
type remote struct {
	conn  *websocket.Conn
	ended chan struct{} // closed when nothing more is read; err is set then
	err   error

	mu      sync.Mutex
	last    int // number of the last call
	waiting map[int]chan answer
}

// A call is what is asked of a browser. Session is a DevTools session, "" for the browser's own.
type call struct {
	ID      int    `json:"id"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
	Session string `json:"sessionId,omitempty"`
}

// An answer has an error in either protocol's form: an object with a message, or a word with a message beside it.
type answer struct {
	ID      int             `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
	Message string          `json:"message"`
}

func dialRemote(ctx context.Context, url string) (*remote, error) {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("drive a browser: %w", err)
	}
	conn.SetReadLimit(maxRemote)
	r := &remote{conn: conn, ended: make(chan struct{}), waiting: map[int]chan answer{}}
	go r.read()
	return r, nil
}

func (r *remote) read() {
	defer close(r.ended)
	for {
		var a answer
		if r.err = wsjson.Read(context.Background(), r.conn, &a); r.err != nil {
			return
		}
		r.mu.Lock()
		if to := r.waiting[a.ID]; to != nil {
			delete(r.waiting, a.ID)
			to <- a
		}
		r.mu.Unlock()
	}
}

// call asks and waits. The result is decoded into result, unless that is nil.
func (r *remote) call(ctx context.Context, session, method string, params, result any) error {
	back := make(chan answer, 1)
	r.mu.Lock()
	r.last++
	id := r.last
	r.waiting[id] = back
	r.mu.Unlock()
	if err := wsjson.Write(ctx, r.conn, call{id, method, params, session}); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case a := <-back:
		if len(a.Error) > 0 {
			return fmt.Errorf("%s: %s %s", method, a.Error, a.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-r.ended:
		return fmt.Errorf("%s: %w", method, errors.Join(errors.New("the browser has closed its end"), r.err))
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, context.Cause(ctx))
	}
}

// close ends the connection, not the browser.
func (r *remote) close() {
	r.conn.CloseNow() //nolint:errcheck // The browser may have ended.
	<-r.ended
}
