package upstream

import (
	"sync"
	"time"
)

// origin is what a connection leads to: scheme and host, as they stand in a URL,
// and the host of the company proxy on the way, "" for none.
type origin struct{ scheme, host, through string }

// pool holds the connections that wait for their next request.
type pool struct {
	mu     sync.Mutex
	idle   map[origin][]*conn // the one used last at the end
	timer  *time.Timer        // runs expire; nil when none is idle
	limits func() (perHost int, age time.Duration)
}

// take returns the connection that was used last and that nothing has come on
// since, nil if there is none.
func (p *pool) take(to origin) *conn {
	_, age := p.limits()
	for {
		c := p.pop(to)
		switch {
		case c == nil:
			return nil
		case age > 0 && time.Since(c.idleSince) > age, !c.quiet():
			c.close()
		default:
			return c
		}
	}
}

func (p *pool) pop(to origin) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[to]
	if len(list) == 0 {
		return nil
	}
	last := len(list) - 1
	c := list[last]
	list[last] = nil
	p.idle[to] = list[:last]
	return c
}

// put keeps a connection for the next request, if there is room.
func (p *pool) put(c *conn) {
	perHost, age := p.limits()
	c.idleSince = time.Now()
	p.mu.Lock()
	full := len(p.idle[c.to]) >= perHost
	if !full {
		if p.idle == nil {
			p.idle = make(map[origin][]*conn)
		}
		p.idle[c.to] = append(p.idle[c.to], c)
		if p.timer == nil && age > 0 {
			p.timer = time.AfterFunc(age, p.expire)
		}
	}
	p.mu.Unlock()
	if full {
		c.close()
	}
}

// size returns how many connections there are in the pool.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, list := range p.idle {
		n += len(list)
	}
	return n
}

// expire closes the connections that have waited for too long.
func (p *pool) expire() {
	_, age := p.limits()
	now := time.Now()
	p.mu.Lock()
	var old []*conn
	next := time.Duration(0) // until the next one is too old
	for to, list := range p.idle {
		n := 0
		for n < len(list) && now.Sub(list[n].idleSince) >= age {
			n++
		}
		old = append(old, list[:n]...)
		if list = append([]*conn(nil), list[n:]...); len(list) == 0 {
			delete(p.idle, to)
			continue
		}
		p.idle[to] = list
		if left := age - now.Sub(list[0].idleSince); next == 0 || left < next {
			next = left
		}
	}
	p.timer = nil
	if next > 0 {
		p.timer = time.AfterFunc(next, p.expire)
	}
	p.mu.Unlock()
	closeAll(old)
}

// closeIdle closes all that wait.
func (p *pool) closeIdle() {
	p.mu.Lock()
	var all []*conn
	for _, list := range p.idle {
		all = append(all, list...)
	}
	clear(p.idle)
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	closeAll(all)
}

func closeAll(list []*conn) {
	for _, c := range list {
		c.close()
	}
}
