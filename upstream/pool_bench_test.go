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
	p := &pool{limits: func() (int, time.Duration) { return 512, time.Minute }}
	b.Cleanup(p.closeIdle)
	to := origin{scheme: "http", host: "org.example"}
	fill := func(b *testing.B, n int) {
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
	}
	use := func(b *testing.B) {
		c := p.take(to)
		if c == nil {
			b.Error("there is no connection")
			return
		}
		p.put(c)
	}
	b.Run("one", func(b *testing.B) {
		fill(b, 1)
		b.ReportAllocs()
		for b.Loop() {
			use(b)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		fill(b, 64)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				use(b)
			}
		})
	})
}
