package telemetry

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// auditFile appends to a file that others may move away or cut to nothing, as
// logrotate does. Safe for concurrent use.
type auditFile struct {
	path    string
	metrics *Metrics
	logger  *slog.Logger

	mu     sync.Mutex // guards what follows
	file   *os.File
	torn   bool      // the file ends within a line
	lost   int       // lines since the last good one
	warned time.Time // when a fault was last told; zero if all is well
}

const auditWarnInterval = time.Minute

func openAuditFile(path string, m *Metrics, logger *slog.Logger) (*auditFile, error) {
	file, err := appendTo(path)
	if err != nil {
		return nil, err
	}
	return &auditFile{path: path, metrics: m, logger: logger, file: file}, nil
}

var errNoFile = errors.New("it is a directory, a device or a pipe, and lines are appended to a plain file")

// appendTo opens the file at path, which it makes if it is not there.
func appendTo(path string) (*os.File, error) { return openAppending(path, os.O_CREATE) }

// openAppending opens the file at path. To open a pipe could take for ever.
func openAppending(path string, flag int) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errNoFile}
	}
	return os.OpenFile(path, flag|os.O_APPEND|os.O_WRONLY, 0o600)
}

// CheckAuditFile returns why [OpenAudit] could not append to the file at path, nil
// if it could. It makes no file that stays.
func CheckAuditFile(path string) error {
	file, err := openAppending(path, 0)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		// Not the file itself: a proxy that starts now would lose it.
		file, err = os.CreateTemp(filepath.Dir(path), ".sfproxy-*")
	}
	if fault, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: fault.Op, Path: path, Err: fault.Err}
	}
	if err != nil {
		return err
	}
	if made {
		defer os.Remove(file.Name())
	}
	return file.Close()
}

// Write appends a line. It never fails: what comes of a line is not for the
// request that it is about.
func (f *auditFile) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.follow()
	if err == nil {
		err = f.append(line)
	}
	if err != nil {
		f.lost++
		f.metrics.AuditLost()
		f.warn(auditLost, err)
		return len(line), nil
	}
	if f.lost > 0 {
		f.logger.Info("audit lines are written again", "file", f.path, "lost", f.lost)
		f.lost, f.warned = 0, time.Time{}
	}
	return len(line), nil
}

// append writes a line as a whole or, as far as that can be helped, not at all.
func (f *auditFile) append(line []byte) error {
	if f.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := f.file.Write(line)
	switch {
	case err == nil:
		f.torn = false
	case n > 0 && !f.takeBack(int64(n)):
		f.torn = true
	}
	return err
}

// takeBack cuts the n bytes off that were written last, unless others have
// written since.
func (f *auditFile) takeBack(n int64) bool {
	end, err := f.file.Seek(0, io.SeekCurrent) // where an appending write has left it
	if err != nil {
		return false
	}
	info, err := f.file.Stat()
	return err == nil && info.Size() == end && f.file.Truncate(end-n) == nil
}

// reopen is follow for callers without the lock.
func (f *auditFile) reopen() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.follow(); err != nil {
		f.warn(auditLost, err)
	}
}

// auditLost is what is warned of.
const auditLost = "audit lines cannot be written and are lost"

// follow opens the file at the path if it is not the one that is open. Where
// that fails the open one goes on being used, unless it was removed: the error
// then says so. mu is held.
func (f *auditFile) follow() error {
	there, err := os.Stat(f.path)
	here, hereErr := f.file.Stat()
	if err == nil && hereErr == nil && os.SameFile(there, here) {
		return nil
	}
	file, err := appendTo(f.path)
	if err != nil && hereErr == nil && isRemoved(here) {
		return fmt.Errorf("the file was removed, and a new one cannot be opened: %w", err)
	}
	if err != nil {
		f.warn("the audit file was moved away and cannot be opened anew; lines go to where it is now", err)
		return nil
	}
	f.file.Close()
	f.file, f.torn = file, false
	return nil
}

// warn tells of a fault, unless one was told a short while ago. mu is held.
func (f *auditFile) warn(text string, err error) {
	if now := time.Now(); f.warned.IsZero() || now.Sub(f.warned) >= auditWarnInterval {
		f.warned = now
		f.logger.Warn(text, "file", f.path, "lost", f.lost, "error", err,
			"hint", "see to the disk and to the rights in the directory of LOG_AUDIT_FILE; this is said once a minute")
	}
}

func (f *auditFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}
