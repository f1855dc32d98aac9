package quota

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Reading is how many API requests were used of an allowance of 24 hours. The
// zero value stands for no reading.
type Reading struct{ Used, Limit int64 }

// Left returns the requests that are left, never less than none.
func (r Reading) Left() int64 { return max(0, r.Limit-r.Used) }

// scarcer reports whether less of r is left than of other, by share.
func (r Reading) scarcer(other Reading) bool {
	return other.Limit == 0 || float64(r.Left())/float64(r.Limit) < float64(other.Left())/float64(other.Limit)
}

// ParseLimitInfo reads the header Sforce-Limit-Info of the REST API's answers
// (REST API Developer Guide, Limit Info Header), such as "api-usage=25/5000;
// per-app-api-usage=17/250(appName=sample)". The second reading is there only
// where the app has a limit of its own in the org. It allocates nothing.
func ParseLimitInfo(value string) (org, app Reading) {
	for part := range strings.SplitSeq(value, ";") {
		name, numbers, _ := strings.Cut(strings.TrimSpace(part), "=")
		numbers, _, _ = strings.Cut(numbers, "(")
		used, limit, _ := strings.Cut(numbers, "/")
		switch name {
		case "api-usage":
			org = parseReading(used, limit)
		case "per-app-api-usage":
			app = parseReading(used, limit)
		}
	}
	return org, app
}

// ParseLimitInfoHeader reads the element LimitInfoHeader of a SOAP answer (SOAP
// API Developer Guide, LimitInfoHeader) out of the answer's beginning.
func ParseLimitInfoHeader(beginning []byte) (org, app Reading) {
	for {
		_, info, ok := bytes.Cut(beginning, []byte("limitInfo>"))
		info, rest, closed := bytes.Cut(info, []byte("limitInfo>"))
		if !ok || !closed {
			return org, app
		}
		beginning = rest
		switch element(info, "type") {
		case "API REQUESTS":
			org = parseReading(element(info, "current"), element(info, "limit"))
		case "API REQUESTS PER APP":
			app = parseReading(element(info, "current"), element(info, "limit"))
		}
	}
}

// element returns the text of an element without children or attributes,
// whatever its prefix.
func element(xml []byte, name string) string {
	_, rest, _ := bytes.Cut(xml, []byte(name+">"))
	text, _, _ := bytes.Cut(rest, []byte("<"))
	return string(text)
}

// parseReading returns the zero value for what is no reading.
func parseReading(used, limit string) Reading {
	u, usedErr := strconv.ParseUint(used, 10, 32)
	l, limitErr := strconv.ParseUint(limit, 10, 32)
	if usedErr != nil || limitErr != nil || l == 0 {
		return Reading{}
	}
	return Reading{int64(u), int64(l)}
}

// Usage is how an org's API requests stand, as its newest answer told. The zero
// value knows nothing yet. Safe for concurrent use; nothing in it waits.
type Usage struct {
	org, app packed
	told     atomic.Int64 // when, in nanoseconds since 1970; also when somebody was sent to ask
}

// packed is a reading in one word, so that both its numbers are of one answer.
type packed struct{ word atomic.Uint64 }

func (p *packed) store(r Reading) {
	p.word.Store(uint64(r.Used)<<32 | uint64(r.Limit)) // #nosec G115 -- as they were read, neither is negative
}

func (p *packed) load() Reading {
	word := p.word.Load()
	return Reading{Used: int64(word >> 32), Limit: int64(word & math.MaxUint32)} // #nosec G115 -- 32 bits each
}

// Note takes over what an answer told, if it did.
func (u *Usage) Note(org, app Reading, now time.Time) {
	if org.Limit == 0 && app.Limit == 0 {
		return
	}
	u.org.store(org)
	u.app.store(app)
	u.told.Store(now.UnixNano())
}

// Org returns the newest reading of the whole org, whoever used its requests; its
// Limit is 0 if there is none.
func (u *Usage) Org() Reading { return u.org.load() }

// App returns the newest reading of the app that the proxy logs in as; its Limit
// is 0 if the app has none of its own.
func (u *Usage) App() Reading { return u.app.load() }

// Scarcest returns the reading of the org, or that of the app if less is left of it.
func (u *Usage) Scarcest() Reading {
	org, app := u.org.load(), u.app.load()
	if app.Limit > 0 && app.scarcer(org) {
		return app
	}
	return org
}

// Left returns how many requests are left to a client with reserve r, never less
// than none. known is false until an answer has told.
func (u *Usage) Left(r Reserve) (requests int64, known bool) {
	if requests, known = u.left(r); !known {
		return 0, false
	}
	return max(0, requests), true
}

// left is Left, and less than none where the reserve has been touched.
func (u *Usage) left(r Reserve) (requests int64, known bool) {
	org, app := u.org.load(), u.app.load()
	requests = math.MaxInt64
	for _, last := range [...]Reading{org, app} {
		if last.Limit > 0 {
			requests, known = min(requests, last.Left()-r.of(last.Limit, org.Limit)), true
		}
	}
	return requests, known
}

// AskAgain is how long a reading that stops a client counts: then one request is
// let through, whose answer brings the next reading. Otherwise nobody would see
// that requests of 24 hours ago count no more.
const AskAgain = time.Minute

// Allows reports whether a client with reserve r may send a request, and if
// not, when it is worth trying again.
func (u *Usage) Allows(r Reserve, now time.Time) (ok bool, retryAfter time.Duration) {
	if r.IsZero() {
		return true, 0
	}
	if left, known := u.left(r); !known || left >= 0 {
		return true, 0
	}
	told := u.told.Load()
	if wait := AskAgain - time.Duration(now.UnixNano()-told); wait > 0 {
		return false, wait
	}
	if u.told.CompareAndSwap(told, now.UnixNano()) {
		return true, 0
	}
	return false, AskAgain
}
