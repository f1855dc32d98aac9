package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"time"
)

// ErrSession says that a session is none of ours, or no longer one: forged,
// expired, ended, or of a client whose credential has changed. Which of these
// is not for the client to know.
var ErrSession = errors.New("the session is not valid")

// sessionAlphabet is base64url with Salesforce's two other letters in place of
// "-" and "_", so that a session looks like one of Salesforce's: 00D…!….
var sessionAlphabet = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._").WithPadding(base64.NoPadding)

const (
	sessionVersion = 1
	nonceSize      = 12
	macSize        = 20 // bytes of HMAC-SHA256 that are kept
	headSize       = 1 + 8 + fingerprintSize + nonceSize
	orgIDSize      = 15
	maxSession     = 512
)

// fingerprint stands for a client's credential at the time of its login.
type fingerprint [fingerprintSize]byte

const fingerprintSize = 12

// sessions issues and opens sessions. Safe for concurrent use.
type sessions struct {
	key []byte
	ttl time.Duration

	mu    sync.Mutex
	ended map[[macSize]byte]time.Time // MAC of a session that was logged out → its expiry; guarded by mu
}

func newSessions(key []byte, ttl time.Duration) *sessions {
	return &sessions{key: key, ttl: ttl, ended: map[[macSize]byte]time.Time{}}
}

// issue returns a new session of client. orgID is the 15-character id that
// clients may read off it.
func (s *sessions) issue(orgID, client string, f fingerprint) string {
	payload := make([]byte, 0, headSize+len(client)+macSize)
	payload = append(payload, sessionVersion)
	expires := time.Now().Add(s.ttl + time.Second - 1)                       // rounded up to a second
	payload = binary.BigEndian.AppendUint64(payload, uint64(expires.Unix())) // #nosec G115 -- after 1970
	payload = append(payload, f[:]...)
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	payload = append(payload, nonce[:]...)
	payload = append(payload, client...)
	mac := s.mac(orgID, payload)
	return orgID + "!" + sessionAlphabet.EncodeToString(append(payload, mac[:]...))
}

// session is an opened session.
type session struct {
	client      string
	fingerprint fingerprint
	expires     time.Time
	mac         [macSize]byte
}

// open returns what is in a session, or ErrSession.
func (s *sessions) open(text string) (session, error) {
	orgID, encoded, ok := strings.Cut(text, "!")
	if !ok || len(orgID) != orgIDSize || len(text) > maxSession {
		return session{}, ErrSession
	}
	raw, err := sessionAlphabet.Strict().DecodeString(encoded)
	if err != nil || len(raw) < headSize+1+macSize || raw[0] != sessionVersion {
		return session{}, ErrSession
	}
	payload, mac := raw[:len(raw)-macSize], [macSize]byte(raw[len(raw)-macSize:])
	if want := s.mac(orgID, payload); !hmac.Equal(mac[:], want[:]) {
		return session{}, ErrSession
	}
	opened := session{
		client:      string(payload[headSize:]),
		fingerprint: fingerprint(payload[9 : 9+fingerprintSize]),
		expires:     time.Unix(int64(binary.BigEndian.Uint64(payload[1:9])), 0), // #nosec G115 -- as issue has put it there
		mac:         mac,
	}
	if !time.Now().Before(opened.expires) || s.isEnded(mac) {
		return session{}, ErrSession
	}
	return opened, nil
}

// end makes a session invalid and returns it. It is remembered until it would
// have expired.
func (s *sessions) end(text string) (session, error) {
	opened, err := s.open(text)
	if err != nil {
		return session{}, err
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for mac, expires := range s.ended {
		if now.After(expires) {
			delete(s.ended, mac)
		}
	}
	s.ended[opened.mac] = opened.expires
	return opened, nil
}

func (s *sessions) isEnded(mac [macSize]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[mac]
	return ended
}

func (s *sessions) mac(orgID string, payload []byte) [macSize]byte {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(orgID))
	h.Write([]byte{'!'})
	h.Write(payload)
	return [macSize]byte(h.Sum(nil))
}
