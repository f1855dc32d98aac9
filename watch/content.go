package watch

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
)

// Contents stand for what is in files at some time. They do not hold it.
type Contents map[string]content

// ContentsOf reads the files.
func ContentsOf(files []string) Contents {
	c := make(Contents, len(files))
	for _, file := range files {
		c[file] = contentOf(file)
	}
	return c
}

// Equal reports whether the same files have the same contents in both.
func (c Contents) Equal(other Contents) bool { return maps.Equal(c, other) }

// content stands for what is in a file, or for why nothing can be read. It does
// not hold what it stands for, which may be a secret.
type content struct {
	sum   [sha256.Size]byte
	fault string
}

// maxContent is how much of a file is looked at, in bytes.
const maxContent = 1 << 20

// contentOf reads the file at path. What is not a regular file is left alone:
// reading a pipe takes away what is in it, or waits.
func contentOf(path string) content {
	info, err := os.Stat(path)
	if err != nil {
		return faultOf(err)
	}
	if !info.Mode().IsRegular() {
		return content{fault: "not a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return faultOf(err)
	}
	defer f.Close()
	h := sha256.New()
	buffer := make([]byte, 32<<10)
	defer clear(buffer)
	if _, err := io.CopyBuffer(h, io.LimitReader(f, maxContent), buffer); err != nil {
		return faultOf(err)
	}
	h.Write(make([]byte, sha256.BlockSize)) // in the place of the last block, which h keeps
	return content{sum: [sha256.Size]byte(h.Sum(nil))}
}

func faultOf(err error) content {
	if errors.Is(err, fs.ErrNotExist) {
		return content{fault: "missing"}
	}
	return content{fault: err.Error()}
}
