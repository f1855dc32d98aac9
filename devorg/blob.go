package devorg

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
)

const (
	maxBase64 = 37_500_000 // characters of a blob within JSON
	maxBlob   = 500 << 20  // bytes of a multipart blob
	blobChunk = 1 << 20    // bytes
)

// A blob is a file's content, held in pieces so that it need not be moved as it grows.
// Immutable once read.
type blob struct {
	chunks [][]byte // all of blobChunk bytes but the last
	size   int64
}

func blobOf(data []byte) *blob {
	b, _ := readBlob(bytes.NewReader(data))
	return b
}

var errBlobTooLarge = errors.New("blob is too large")

func readBlob(r io.Reader) (*blob, error) {
	b := &blob{}
	for {
		chunk := make([]byte, blobChunk)
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			if n < blobChunk {
				chunk = slices.Clone(chunk[:n])
			}
			b.chunks = append(b.chunks, chunk)
			b.size += int64(n)
		}
		if b.size > maxBlob {
			return nil, errBlobTooLarge
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// ReadAt implements io.ReaderAt.
func (b *blob) ReadAt(p []byte, offset int64) (int, error) {
	read := 0
	for read < len(p) && offset < b.size {
		n := copy(p[read:], b.chunks[offset/blobChunk][offset%blobChunk:])
		read += n
		offset += int64(n)
	}
	if read < len(p) {
		return read, io.EOF
	}
	return read, nil
}

func (o *Org) readBlob(c *call, s *sobject, rawID string) (*result, *apiError) {
	id, failure := s.idOf(rawID)
	if failure != nil {
		return nil, failure
	}
	var r *record
	failure = o.store.do(c.ctx, func(t *tx) (failure *apiError) {
		r, failure = t.find(id)
		return failure
	})
	if failure != nil {
		return nil, failure
	}
	return &result{
		status:   http.StatusOK,
		header:   http.Header{"Content-Type": {"application/octet-stream"}},
		blob:     io.NewSectionReader(r.blob, 0, r.blob.size),
		modified: r.modified(),
	}, nil
}

// readMultipart reads a record in two parts: its fields as JSON, and its blob as it is,
// which goes from the connection to its place without another copy.
func (c *call) readMultipart(s *sobject) (*input, *apiError) {
	target := s.blob()
	if target == nil {
		return nil, badRequest("INVALID_MULTIPART_REQUEST", "%s has no field for binary data.", s.name)
	}
	malformed := badRequest("INVALID_MULTIPART_REQUEST", "The body must be one JSON part and then one binary part.")
	_, parameters, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	if err != nil || parameters["boundary"] == "" {
		return nil, malformed
	}
	parts := multipart.NewReader(c.body, parameters["boundary"])
	entity, err := parts.NextRawPart()
	if err != nil {
		return nil, malformed
	}
	if media, _, _ := mime.ParseMediaType(entity.Header.Get("Content-Type")); media != "application/json" {
		return nil, malformed
	}
	in := &input{}
	decoder := json.NewDecoder(io.LimitReader(entity, 1<<20))
	decoder.UseNumber()
	if err := decoder.Decode(&in.fields); err != nil || in.fields == nil {
		return nil, badRequest("JSON_PARSER_ERROR", "The first part is not a JSON object.")
	}
	binary, err := parts.NextRawPart()
	if err != nil {
		return nil, malformed
	}
	if binary.FormName() != target.name {
		return nil, badRequest("INVALID_MULTIPART_REQUEST", "The binary part must be named %s.", target.name)
	}
	if in.blob, err = readBlob(binary); errors.Is(err, errBlobTooLarge) {
		return nil, restError(http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE", "The file is too large.")
	} else if err != nil {
		return nil, malformed
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		return nil, malformed
	}
	return in, nil
}
