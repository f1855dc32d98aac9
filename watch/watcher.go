package watch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify" // the notifications of every system
)

const (
	// settleTime is how long the files have to be left alone before they are
	// read: who replaces a key, its certificate and its passphrase does so one
	// after the other.
	settleTime = 200 * time.Millisecond
	// settleLimit bounds the wait where something never leaves them alone.
	settleLimit = 2 * time.Second
	// pollInterval is how often they are read without a notification.
	pollInterval = 30 * time.Second
)

// Config is what a Watcher is made of.
type Config struct {
	// Files are the paths of what is watched. Neither a file nor its directory
	// has to be there.
	Files []string
	// PollInterval is how often the files are read where the system tells of no
	// change. Default: 30 seconds.
	PollInterval time.Duration
	// Logger gets a warning where there are no notifications. Default: none.
	Logger *slog.Logger
}

// Watcher watches files while its Run runs.
type Watcher struct {
	cfg     Config
	changes chan struct{}

	// What follows is Run's.
	notify *fsnotify.Watcher // nil if the system has no notifications to give
	trails trails            // of the files, as notify watches them
	seen   Contents
	warned bool
}

// New returns a Watcher.
func New(cfg Config) *Watcher {
	if cfg.PollInterval <= 0 {
		cfg.PollInterval = pollInterval
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, changes: make(chan struct{}, 1)}
}

// Changes receives a value once Run watches, since nobody knows what happened
// before, and one after the content of a file has changed. Several changes make
// one value while nobody receives.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Run watches until ctx ends, and leaves nothing behind. It is to be called
// once.
func (w *Watcher) Run(ctx context.Context) {
	events, lost, stop := w.start()
	defer stop()
	w.look()
	poll := time.NewTicker(w.cfg.PollInterval)
	defer poll.Stop()
	var settled <-chan time.Time // nil while nothing happens
	var since time.Time          // when it began to happen
	for {
		select {
		case event := <-events:
			if !w.trails.concerns(filepath.Clean(event.Name)) {
				continue // a neighbour of the files
			}
			if settled == nil {
				since = time.Now()
			}
			settled = time.After(min(settleTime, settleLimit-time.Since(since)))
		case <-lost:
			settled = time.After(settleTime)
		case <-settled:
			settled = nil
			w.look()
		case <-poll.C:
			w.look()
		case <-ctx.Done():
			return
		}
	}
}

// start begins to listen for notifications. lost receives a value when some are
// missing. Without notifications both channels stay silent.
func (w *Watcher) start() (events <-chan fsnotify.Event, lost <-chan struct{}, stop func()) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		w.warn(err)
		return nil, nil, func() {}
	}
	w.notify = notify
	// fsnotify may hold its lock while it waits for an error to be received, and
	// follow needs that lock: errors are received by somebody else.
	failures, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for range notify.Errors {
			select {
			case failures <- struct{}{}:
			default:
			}
		}
	}()
	return notify.Events, failures, func() {
		notify.Close()
		<-ended
	}
}

// look tells if a content has changed since the last look.
func (w *Watcher) look() {
	w.follow() // first, so that what changes while it is read is told
	now := ContentsOf(w.cfg.Files)
	if w.seen != nil && now.Equal(w.seen) {
		return
	}
	w.seen = now
	select {
	case w.changes <- struct{}{}:
	default: // one is waiting to be received
	}
}

// maxFollows bounds how often links are followed again because they have
// changed meanwhile.
const maxFollows = 5

// follow has the system watch the files, and the directories on the way to
// them, as they are now.
func (w *Watcher) follow() {
	if w.notify == nil {
		return
	}
	for range maxFollows {
		now := newTrails(w.cfg.Files)
		w.watch(now)
		if now.equal(newTrails(w.cfg.Files)) {
			return
		}
	}
}

// watch makes what t wants what notify watches. What has been watched under the
// same name may be another file by now, and is added again.
func (w *Watcher) watch(t trails) {
	for _, path := range w.notify.WatchList() {
		if !t.watched[path] {
			_ = w.notify.Remove(path) // it may have gone by itself
		}
	}
	for path := range t.watched {
		err := w.notify.Add(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			w.warn(err)
		}
	}
	w.trails = t
}

// warn says that notifications are wanting, once.
func (w *Watcher) warn(err error) {
	if !w.warned {
		w.cfg.Logger.Warn("the system does not tell of every change to the files: a change may be seen late", "poll_interval", w.cfg.PollInterval.String(), "error", err)
	}
	w.warned = true
}
