package devorg

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
)

// A Fault is an answer, or the lack of one, that a test asks for in place of the org's own.
type Fault struct {
	// Status is the HTTP status; 0 means 500 unless the connection is cut.
	Status int
	// Header holds further header fields.
	Header http.Header
	// ContentType is the Content-Type; empty means text/plain.
	ContentType string
	Body        string
	// Hang answers nothing until the client gives up or the org is closed.
	Hang bool
	// CloseConn breaks the connection: at once if Status is 0, else after the status and
	// the body, so that the client is left with an answer that does not end.
	CloseConn bool
}

// OAuthFault is a refusal as the token endpoint words it.
func OAuthFault(code, description string) Fault {
	body, _ := json.Marshal(oauthError{Code: code, Description: description})
	return Fault{
		Status:      http.StatusBadRequest,
		Header:      http.Header{"Cache-Control": {"no-store"}},
		ContentType: jsonType,
		Body:        string(body),
	}
}

// RESTFault is an error as the REST API words it.
func RESTFault(status int, code, message string) Fault {
	body, _ := json.Marshal([]errorItem{{Message: message, Code: code}})
	return Fault{Status: status, ContentType: jsonType, Body: string(body)}
}

// PageFault is an HTML page where an API answer was expected, as maintenance pages are.
func PageFault(status int) Fault {
	return Fault{Status: status, ContentType: "text/html; charset=UTF-8",
		Body: "<!DOCTYPE html><title>Down for Maintenance</title><p>We are down for maintenance.</p>"}
}

func (f Fault) serve(w http.ResponseWriter, r *http.Request) {
	if f.Hang {
		// The server notices that a client has gone only once the body has been read.
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if f.CloseConn && f.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.Header().Set("Content-Type", cmp.Or(f.ContentType, "text/plain; charset=UTF-8"))
	w.WriteHeader(cmp.Or(f.Status, http.StatusInternalServerError))
	io.WriteString(w, f.Body)
	if f.CloseConn {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// A faultQueue holds a fault and how many answers it is still good for; negative is for ever.
type faultQueue struct {
	left  int
	fault Fault
}

func (q *faultQueue) next() (Fault, bool) {
	if q.left == 0 {
		return Fault{}, false
	}
	if q.left > 0 {
		q.left--
	}
	return q.fault, true
}

// errorLog keeps the server's remarks on broken connections out of the default logger.
func errorLog(logger *slog.Logger) *log.Logger {
	return log.New(logWriter{logger}, "", 0)
}

type logWriter struct{ logger *slog.Logger }

func (w logWriter) Write(line []byte) (int, error) {
	w.logger.Log(context.Background(), slog.LevelDebug, "server", "remark", string(bytes.TrimSpace(line)))
	return len(line), nil
}
