package telemetry

import (
	"bytes"
	"context"
	"log"
	"log/slog"

	"github.com/sfproxy/sfproxy/proxy"
)

// NewServerLog returns what [net/http.Server.ErrorLog] is to be: it writes to
// logger.
func NewServerLog(logger *slog.Logger) *log.Logger {
	return log.New(serverLog{logger, new(proxy.Notice)}, "", 0)
}

// serverLog takes net/http's lines: panics and failures to accept are a person's
// business, a failed handshake is the client's. Where the client's certificate is
// why, somebody has to do something about it, and it is told once a minute.
type serverLog struct {
	logger    *slog.Logger
	strangers *proxy.Notice // of clients without a good certificate
}

func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(line, []byte("TLS handshake error")) {
		level = slog.LevelDebug
	}
	if isStranger(line) {
		if refused, due := l.strangers.Due(); due {
			l.logger.Info("connections without a good client certificate are refused", "refused", refused, "error", string(bytes.TrimSpace(line)),
				"hint", "clients need a certificate that an authority in PROXY_TLS_CLIENT_CA_FILE has signed; this is said once a minute")
			return len(line), nil
		}
	}
	attrs := []any{"error", string(bytes.TrimSpace(line))}
	if bytes.Contains(line, []byte("too many open files")) {
		attrs = append(attrs, "hint", "raise the open files that the system allows this process (LimitNOFILE=, ulimit -n, --ulimit nofile=), or lower PROXY_MAX_CONNECTIONS and PROXY_MAX_REQUESTS")
	}
	l.logger.Log(context.Background(), level, "http server", attrs...)
	return len(line), nil
}

// isStranger reports whether a line is about a client whose certificate is
// missing or not good. crypto/tls has no types for a log to go by.
func isStranger(line []byte) bool {
	return bytes.Contains(line, []byte("tls: client didn't provide a certificate")) ||
		bytes.Contains(line, []byte("tls: failed to verify certificate"))
}
