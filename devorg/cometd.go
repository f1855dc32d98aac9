package devorg

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const browserCookie = "BAYEUX_BROWSER"

// bayeux is the state of the streaming API: its clients and what waits for them.
type bayeux struct {
	mu      sync.Mutex // guards what follows
	clients map[string]*subscriber
	replay  int
}

// A subscriber is one CometD client.
type subscriber struct {
	browser  string // the cookie it has to bring back
	channels []string
	queue    []object
	wake     chan struct{} // of size 1; full when the queue has something
}

func newBayeux() *bayeux { return &bayeux{clients: make(map[string]*subscriber)} }

// Publish sends data to whoever has subscribed to the channel.
func (o *Org) Publish(channel string, data any) {
	b := o.bayeux
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replay++
	message := object{{"channel", channel}, {"data", object{
		{"event", object{{"replayId", b.replay}, {"createdDate", o.now().UTC().Format(time.RFC3339)}}},
		{"sobject", data},
	}}}
	for _, s := range b.clients {
		if slices.Contains(s.channels, channel) {
			s.queue = append(s.queue, message)
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
	}
}

// A bayeuxMessage is one message of a client.
type bayeuxMessage struct {
	Channel      string `json:"channel"`
	ClientID     string `json:"clientId"`
	Subscription string `json:"subscription"`
	ID           any    `json:"id"`
}

func (m bayeuxMessage) reply(rest ...member) object {
	return append(object{{"channel", m.Channel}, {"id", m.ID}, {"clientId", m.ClientID}}, rest...)
}

// serveCometD answers for /cometd/NN.0. Here even a bad token is a 200.
func (o *Org) serveCometD(w http.ResponseWriter, r *http.Request, h *host) {
	if r.Method != http.MethodPost {
		http.Error(w, "must use HTTP POST", http.StatusMethodNotAllowed)
		return
	}
	_, live := o.authenticate(r, h)
	var messages []bayeuxMessage
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		if err = json.Unmarshal(data, &messages); err != nil {
			messages = make([]bayeuxMessage, 1)
			err = json.Unmarshal(data, &messages[0])
		}
	}
	if err != nil {
		http.Error(w, "the body must be Bayeux messages", http.StatusBadRequest)
		return
	}
	var replies []object
	for _, m := range messages {
		if !live {
			replies = append(replies, m.refuseToken(r.Header.Get("Authorization") != ""))
			continue
		}
		replies = append(replies, o.bayeuxReplies(w, r, m)...)
	}
	writeJSON(w, http.StatusOK, replies)
}

func (m bayeuxMessage) refuseToken(given bool) object {
	reason := "401::Request requires authentication"
	if given {
		reason = "401::Authentication invalid"
	}
	advice := member{"advice", object{{"reconnect", "none"}}}
	if m.Channel == "/meta/handshake" {
		return m.reply(member{"successful", false}, member{"error", "403::Handshake denied"}, advice,
			member{"ext", object{{"sfdc", object{{"failureReason", reason}}}}})
	}
	return m.reply(member{"successful", false}, member{"error", reason}, advice)
}

func (o *Org) bayeuxReplies(w http.ResponseWriter, r *http.Request, m bayeuxMessage) []object {
	if m.Channel == "/meta/handshake" {
		return []object{o.handshake(w, m)}
	}
	s := o.bayeux.find(m.ClientID, r)
	if s == nil {
		return []object{m.reply(member{"successful", false}, member{"error", "403::Unknown client"},
			member{"advice", object{{"reconnect", "handshake"}, {"interval", 0}}})}
	}
	success := member{"successful", true}
	switch m.Channel {
	case "/meta/connect":
		waiting := o.wait(r, s)
		return append(waiting, m.reply(success, member{"advice", o.advice()}))
	case "/meta/subscribe":
		o.bayeux.change(func() { s.channels = append(s.channels, m.Subscription) })
		return []object{m.reply(success, member{"subscription", m.Subscription})}
	case "/meta/unsubscribe":
		o.bayeux.change(func() {
			s.channels = slices.DeleteFunc(s.channels, func(c string) bool { return c == m.Subscription })
		})
		return []object{m.reply(success, member{"subscription", m.Subscription})}
	case "/meta/disconnect":
		o.bayeux.change(func() { delete(o.bayeux.clients, m.ClientID) })
		return []object{m.reply(success)}
	}
	return []object{m.reply(member{"successful", false}, member{"error", "400::Channel not supported"})}
}

func (o *Org) advice() object {
	return object{{"reconnect", "retry"}, {"interval", 0}, {"timeout", o.cfg.LongPoll.Milliseconds()}}
}

func (o *Org) handshake(w http.ResponseWriter, m bayeuxMessage) object {
	s := &subscriber{browser: strings.ToLower(rand.Text()), wake: make(chan struct{}, 1)}
	m.ClientID = strings.ToLower(rand.Text())
	o.bayeux.change(func() { o.bayeux.clients[m.ClientID] = s })
	w.Header().Add("Set-Cookie", browserCookie+"="+s.browser+"; domain=.salesforce.com; path=/; secure; HttpOnly")
	return m.reply(member{"successful", true}, member{"version", "1.0"}, member{"minimumVersion", "1.0"},
		member{"supportedConnectionTypes", []string{"long-polling"}}, member{"advice", o.advice()},
		member{"ext", object{{"replay", true}, {"payload.format", true}}})
}

func (b *bayeux) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// find returns a client that brings the cookie of its handshake.
func (b *bayeux) find(id string, r *http.Request) *subscriber {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.clients[id]
	cookie, err := r.Cookie(browserCookie)
	if s == nil || err != nil || cookie.Value != s.browser {
		return nil
	}
	return s
}

// wait returns what has been published, or nothing when the time is up.
func (o *Org) wait(r *http.Request, s *subscriber) []object {
	timer := time.NewTimer(o.cfg.LongPoll)
	defer timer.Stop()
	select {
	case <-s.wake:
	case <-timer.C:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
	var waiting []object
	o.bayeux.change(func() { waiting, s.queue = s.queue, nil })
	return waiting
}
