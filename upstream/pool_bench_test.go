package upstream

import (
	"net"
	"net/url"
	"testing"
	"time"
)

// BenchmarkPool is the taking of a connection, which is asked whether anything
// has come on it, and the putting back: by one, and by as many at a time as
// there are processors.
func BenchmarkPool(b *testing.B) {
	to := origin{scheme: "http", host: "org.example"}
	filled := func(b *testing.B, n int) *pool {
		p := &pool{limits: func() (int, time.Duration) { return n, time.Hour }}
		b.Cleanup(p.closeIdle)
		address, err := url.Parse(peer(b, newBase(), false, func(_ int, c net.Conn) { hear(c) }))
		if err != nil {
			b.Fatal(err)
		}
		for range n {
			c, err := net.Dial("tcp", address.Host)
			if err != nil {
				b.Fatal(err)
			}
			p.put(newConn(c, to))
		}
		return p
	}
	use := func(b *testing.B, p *pool) {
		c := p.take(to)
		if c == nil {
			b.Error("there is no connection")
			return
		}
		p.put(c)
	}
	b.Run("one", func(b *testing.B) {
		p := filled(b, 1)
		b.ReportAllocs()
		for b.Loop() {
			use(b, p)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		p := filled(b, 64)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				use(b, p)
			}
		})
	})
}
