package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"flurry/common/carrier/rtc"
)

// ourSeat makes the test binary a process that makes our calls: its value is the address of the switchboard, with the seat's name.
const ourSeat = "FLURRY_BROWSER_SEAT"

// An ourEnd is what peer.js is, of our own making.
type ourEnd struct {
	base, who string
	endpoints map[string]*rtc.Endpoint
}

// runOurSeat asks for jobs until the switchboard is gone.
func runOurSeat(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	o := &ourEnd{base: u.Scheme + "://" + u.Host + "/", who: u.Query().Get("who"), endpoints: map[string]*rtc.Endpoint{}}
	for _, p := range []rtc.Profile{rtc.Chromium, rtc.Firefox} {
		if o.endpoints[string(p)], err = rtc.New(rtc.Config{Profile: p, OpenTimeout: time.Minute}); err != nil {
			return err
		}
	}
	for {
		reply, err := http.Get(o.base + "job?who=" + o.who)
		if err != nil {
			return err
		}
		var j job
		err = json.NewDecoder(reply.Body).Decode(&j)
		reply.Body.Close()
		if reply.StatusCode == http.StatusOK && err == nil {
			go o.work(j)
		}
	}
}

func (o *ourEnd) work(j job) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(j.Limit)*time.Millisecond)
	defer cancel()
	do := map[string]func(context.Context, job) error{"offer": o.offer, "answer": o.answer, "gather": o.gather}[j.Role]
	said := ""
	if err := do(ctx, j); err != nil {
		said = err.Error()
	}
	o.post(context.Background(), "done", j, said) //nolint:errcheck // There is nobody else to tell.
}

func (o *ourEnd) post(ctx context.Context, what string, j job, text string) (string, error) {
	q := url.Values{"id": {strconv.Itoa(j.ID)}, "role": {j.Role}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.base+what+"?"+q.Encode(), strings.NewReader(text))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(reply.Body)
	return string(b), err
}

func (o *ourEnd) offer(ctx context.Context, j job) error {
	signal := func(ctx context.Context, offer string) (string, error) { return o.post(ctx, "offer", j, offer) }
	c, err := o.endpoints[j.Profile].DialKind(ctx, j.Label, signal, func(string) rtc.Kind { return rtc.Unordered })
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	buf := make([]byte, 1<<16)
	for _, size := range j.Sizes {
		if err := c.Send(ctx, make([]byte, size)); err != nil {
			return err
		}
		if _, err := c.Recv(buf); err != nil {
			return err
		}
	}
	for range j.Bulk {
		if err := c.Send(ctx, make([]byte, j.BulkSize)); err != nil {
			return err
		}
	}
	for range j.Bulk {
		if _, err := c.Recv(buf); err != nil {
			return err
		}
	}
	select {
	case <-time.After(time.Duration(j.Hold) * time.Millisecond):
		return nil
	case <-c.Done():
		return fmt.Errorf("while nothing was said: %w", c.Err())
	}
}

func (o *ourEnd) answer(ctx context.Context, j job) error {
	p, err := o.endpoints[j.Profile].Answer(ctx, j.Offer)
	if err != nil {
		return err
	}
	if _, err := o.post(ctx, "answer", j, p.Answer()); err != nil {
		p.Close()
		return err
	}
	c, err := p.Wait(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	buf := make([]byte, 1<<16)
	for {
		n, err := c.Recv(buf)
		if err != nil {
			return ctx.Err() // The offerer has closed.
		}
		if c.Send(ctx, buf[:n]) != nil {
			return ctx.Err()
		}
	}
}

// gather has a connection made ready, which asks the STUN server.
func (o *ourEnd) gather(_ context.Context, j job) error {
	e, err := rtc.New(rtc.Config{Profile: rtc.Profile(j.Profile), ICEServers: []string{j.Server}})
	if err != nil {
		return err
	}
	e.Prepare()
	time.Sleep(time.Duration(j.Hold) * time.Millisecond)
	e.Close()
	return nil
}
