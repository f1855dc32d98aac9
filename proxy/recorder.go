package proxy

import (
	"net/http"
	"sync/atomic"
)

// recorder notes status and size of an answer. Flush and the like reach the
// real writer through Unwrap.
type recorder struct {
	http.ResponseWriter
	ex     *exchange
	status int
	bytes  atomic.Int64
}

func (r *recorder) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes.Add(int64(n))
	return n, err
}

// FlushError serves [http.ResponseController]. The last piece of an answer is
// left to net/http's server, which writes the end together with it.
func (r *recorder) FlushError() error {
	if r.ex.answered.Load() {
		return nil
	}
	return http.NewResponseController(r.ResponseWriter).Flush()
}

// Unwrap serves [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
