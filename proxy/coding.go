package proxy

import (
	"bufio"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
)

var errCoding = errors.New("the content coding is none that Salesforce knows, or not what is said")

// uncoded returns what is read from r without a content coding that Salesforce
// knows; r itself where there is none.
func uncoded(r io.Reader, coding string) (io.Reader, error) {
	switch strings.ToLower(coding) {
	case "", "identity":
		return r, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "deflate":
		raw := bufio.NewReader(r)
		decoder, err := zlib.NewReader(raw)
		return &wholeReader{decoder, raw}, err
	}
	return nil, errCoding
}

// wholeReader ends where the body it decodes ends: zlib stops at its checksum,
// and what is left unread after that would upset the connection's next request.
type wholeReader struct {
	io.Reader
	raw *bufio.Reader
}

func (w *wholeReader) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err == io.EOF {
		if _, err = w.raw.ReadByte(); err == nil {
			err = errCoding // there is more
		}
	}
	return n, err
}
