package proxy

import (
	"cmp"
	"net/http"
	"time"
)

// pacedWriter takes an answer. The connections of HTTP/1 are paced themselves; a
// stream of HTTP/2 can stall by itself, in its flow control.
type pacedWriter struct {
	http.ResponseWriter
	ex     *exchange
	conn   *pacedConn // nil for HTTP/2
	body   pacedBody  // the zero value if the request has none
	duplex bool       // the body is read on while the answer is written
	begun  bool       // the answer is
	pace   *pace      // nil for HTTP/1
}

// paceStream returns the pace of an answer by HTTP/2. What the client has taken
// is not to be seen there, and what it has made room for is.
func (p *Proxy) paceStream(ex *exchange, w *pacedWriter) *pace {
	c := new(pace)
	p.initPace(c, ex.recorder.bytes.Load, func() {
		p.noteSlow(ex.note(), slowReader, ex.recorder.bytes.Load())
		http.NewResponseController(w.ResponseWriter).SetWriteDeadline(longAgo)
	})
	return c
}

// leaveStream is called when the handler returns, after which net/http's server
// still writes the end of the answer.
func (p *Proxy) leaveStream(w *pacedWriter) {
	w.pace.stop()
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(p.cfg.StallTimeout))
}

// begin gives up a body that is not read by the time of the answer: net/http's
// server reads it away before it writes the answer's first byte.
func (w *pacedWriter) begin() {
	if !w.begun && !w.duplex {
		w.body.giveUp()
	}
	w.begun = true
}

func (w *pacedWriter) WriteHeader(status int) {
	if status >= 200 {
		w.begin()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *pacedWriter) Write(b []byte) (int, error) {
	w.begin()
	if w.pace == nil {
		if w.conn != nil && w.ex.streams {
			w.conn.cork.put() // a flush follows
		}
		return w.ResponseWriter.Write(b)
	}
	w.pace.begin()
	n, err := w.ResponseWriter.Write(b)
	w.pace.end()
	return n, err
}

// FlushError serves [http.ResponseController].
func (w *pacedWriter) FlushError() error {
	flush := http.NewResponseController(w.ResponseWriter).Flush
	if w.pace == nil {
		err := flush()
		if w.conn != nil {
			err = cmp.Or(err, w.conn.cork.pull(w.conn.write))
		}
		return err
	}
	w.pace.begin()
	defer w.pace.end()
	return flush()
}

// EnableFullDuplex serves [http.ResponseController].
func (w *pacedWriter) EnableFullDuplex() error {
	w.duplex = true
	return http.NewResponseController(w.ResponseWriter).EnableFullDuplex()
}

// Unwrap serves [http.ResponseController].
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
