package stage

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Get fetches the web site's file of that seed and size in bytes over c, a connection from Dial, and closes c. What arrives
// is also written to w, if not nil. The error is nil only if every byte is the right one.
func Get(ctx context.Context, c net.Conn, seed uint64, size int64, w io.Writer) error {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	defer stop()
	if w == nil {
		w = io.Discard
	}
	if err := get(c, seed, size, w); err != nil {
		return fmt.Errorf("get %d bytes: %w", size, because(ctx, err))
	}
	return nil
}

func get(c net.Conn, seed uint64, size int64, w io.Writer) error {
	req := request(http.MethodGet, fmt.Sprintf("/file?size=%d&seed=%d", size, seed), nil, 0)
	resp, err := roundTrip(c, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(h, w), resp.Body)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	if n != size {
		return fmt.Errorf("got %d bytes", n)
	}
	return compare(hex.EncodeToString(h.Sum(nil)), seed, size)
}

// Put sends the web site the file of that seed and size in bytes over c, a connection from Dial, and closes c. The error is
// nil only if the site says that every byte was the right one.
func Put(ctx context.Context, c net.Conn, seed uint64, size int64) error {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	defer stop()
	resp, err := roundTrip(c, request(http.MethodPut, "/file", File(seed, size), size))
	if err != nil {
		return fmt.Errorf("put %d bytes: %w", size, because(ctx, err))
	}
	defer resp.Body.Close()
	sum, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err != nil {
		return fmt.Errorf("put %d bytes: %w", size, because(ctx, err))
	}
	if err := compare(strings.TrimSpace(string(sum)), seed, size); err != nil {
		return fmt.Errorf("put %d bytes: %w", size, err)
	}
	return nil
}

// Echo asks the web site to give back what is sent over c, a connection from Dial. It returns the reader of what comes back,
// which is to be used in place of c's own.
func Echo(ctx context.Context, c net.Conn) (io.Reader, error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	defer stop()
	if err := request(http.MethodGet, "/echo", nil, 0).Write(c); err != nil {
		return nil, fmt.Errorf("ask for an echo: %w", because(ctx, err))
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for an echo: %w", because(ctx, err))
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for an echo: %s", resp.Status)
	}
	return r, nil // The response has no length, so its body is the rest of the connection.
}

func request(method, path string, body io.Reader, size int64) *http.Request {
	path, query, _ := strings.Cut(path, "?")
	u := &url.URL{Scheme: "http", Host: "web.example", Path: path, RawQuery: query}
	req := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{"User-Agent": {"stage"}}, ContentLength: size}
	if body != nil {
		req.Body = io.NopCloser(body)
	}
	return req
}

func roundTrip(c net.Conn, req *http.Request) (*http.Response, error) {
	req.Close = true
	if err := req.Write(c); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 64<<10), req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("the web site says %s", resp.Status)
	}
	return resp, nil
}

func compare(sum string, seed uint64, size int64) error {
	if want := Checksum(seed, size); sum != want {
		return fmt.Errorf("wrong bytes: checksum %s in place of %s", sum, want)
	}
	return nil
}

// because names the end of ctx as the reason of an error, where it is.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}
