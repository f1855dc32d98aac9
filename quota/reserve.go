package quota

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Reserve is what a client leaves of the org's API requests to others. The zero
// value is nothing: the client may use the last one.
type Reserve struct {
	share    float64 // of the allowance, 0 to 1
	requests int64
	text     string
}

var errReserve = errors.New("is neither a percentage from 0% to 100%, such as 10%, nor a number of requests")

// ParseReserve reads a percentage of the org's allowance, such as "10%", or a
// number of requests, such as "2000". No text is no reserve.
func ParseReserve(text string) (Reserve, error) {
	if text == "" {
		return Reserve{}, nil
	}
	if digits, percent := strings.CutSuffix(text, "%"); percent {
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || !(n >= 0 && n <= 100) { // NaN is neither
			return Reserve{}, errReserve
		}
		return Reserve{share: n / 100, text: text}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return Reserve{}, errReserve
	}
	return Reserve{requests: n, text: text}, nil
}

// of returns the reserve in requests of a limit. A number is one of the org's
// allowance: of another limit it is the same share. An allowance of 0 is not
// known.
func (r Reserve) of(limit, allowance int64) int64 {
	switch {
	case r.requests == 0:
		return roundUp(r.share * float64(limit))
	case limit == allowance || allowance == 0:
		return r.requests
	}
	return roundUp(float64(min(r.requests, allowance)) / float64(allowance) * float64(limit))
}

// roundUp does not take for more what is more by a rounding error.
func roundUp(x float64) int64 { return int64(math.Ceil(x - 1e-6)) }

// IsZero reports whether nothing is left to others.
func (r Reserve) IsZero() bool { return r.requests == 0 && r.share == 0 }

// String returns the reserve as it was written.
func (r Reserve) String() string { return r.text }
