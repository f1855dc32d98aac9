package telemetry

import (
	"bytes"
	"log"
	"log/slog"
)

// TakeLibraryLog has the lines that Go's library writes by package log, of which
// the process has one, be lines of logger.
func TakeLibraryLog(logger *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(libraryLog{logger})
}

// libraryLog takes those lines. What stands in quotes there has come over the
// network, and stays out: net/http's transport shows the bytes of an answer that
// nobody has asked for, whatever secrets are in it.
type libraryLog struct{ logger *slog.Logger }

func (l libraryLog) Write(line []byte) (int, error) {
	text, _, _ := bytes.Cut(line, []byte(`"`))
	l.logger.Warn("Go's library tells of a fault", "error", string(bytes.TrimSpace(text)))
	return len(line), nil
}
