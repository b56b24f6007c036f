package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"flurry/common/safelog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// metricsPath is where the metrics are (spec section 11.3).
	metricsPath = "/internal/metrics"

	// metricsTimeout bounds each phase of a scrape, metricsClose the wait for
	// one at the end of the program.
	metricsTimeout = 10 * time.Second
	metricsClose   = time.Second
)

// metricsServer shows a registry of its own over HTTP.
type metricsServer struct {
	registry *prometheus.Registry
	server   *http.Server
	serving  sync.WaitGroup
}

// startMetrics returns when the port is bound. The registry holds the metrics
// of the process and the Go runtime; the Proxy adds its own.
func startMetrics(address string, port uint, logger *slog.Logger) (*metricsServer, error) {
	m := &metricsServer{registry: prometheus.NewRegistry()}
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(address, strconv.FormatUint(uint64(port), 10)))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	logger.Debug("metrics at http://" + ln.Addr().String() + metricsPath)
	mux := http.NewServeMux()
	mux.Handle(metricsPath, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	m.server = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: metricsTimeout,
		ReadTimeout:       metricsTimeout,
		WriteTimeout:      metricsTimeout,
		ErrorLog:          safelog.ErrorLog(logger),
	}
	m.serving.Go(func() { m.server.Serve(ln) })
	return m, nil
}

// close ends the server.
func (m *metricsServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), metricsClose)
	defer cancel()
	if m.server.Shutdown(ctx) != nil {
		m.server.Close()
	}
	m.serving.Wait()
}
