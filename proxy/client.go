package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/sfproxy/sfproxy/policy"
	"github.com/sfproxy/sfproxy/quota"
)

// Client is an app that may use the proxy.
type Client struct {
	Name    string // for logs and Sforce-Call-Options
	Subject string // the Salesforce user its requests act as
	// APIKey is the client's credential, see [HashAPIKey].
	APIKey APIKey
	// CertName is the name in its client certificates: a DNS, URI or e-mail name
	// among the alternative ones, or the common name. Default: none.
	CertName string
	// Policy is what it may do; nil allows everything.
	Policy *policy.Policy
	// MaxRequests is how many of its requests run at a time; 0 for no limit.
	// Those over it get 429.
	MaxRequests int
	// Reserve is what it leaves of the org's API requests to others.
	Reserve quota.Reserve

	observer ClientObserver // nil without an Observer
	running  *running       // its requests; those of one name share it

	callOptions []string // the header that names it; not to be changed
}

// APIKey is the SHA-256 of an API key. The zero value matches no key.
type APIKey [sha256.Size]byte

// HashAPIKey returns the APIKey of a key, or of its hash written as "sha256:"
// and 64 hexadecimal digits, so that a configuration need not hold the key. No
// key gives the zero value.
func HashAPIKey[Text string | []byte](key Text) (APIKey, error) {
	if len(key) == 0 {
		return APIKey{}, nil
	}
	digits, hashed := bytes.CutPrefix([]byte(key), []byte("sha256:"))
	if !hashed {
		return sha256.Sum256(digits), nil
	}
	sum, err := hex.DecodeString(string(digits))
	if err != nil || len(sum) != sha256.Size {
		return APIKey{}, fmt.Errorf("an API key that begins with sha256: goes on with %d hexadecimal digits", 2*sha256.Size)
	}
	return APIKey(sum), nil
}

// clients are those who may use the proxy.
type clients struct {
	list []Client
	open bool // there are none, and whoever reaches the proxy may use it
}

// SetClients replaces [Config.Clients] while the proxy is in use: a request
// sees the old ones or the new ones. Unlike in Config, no clients means that
// nobody may use the proxy: one that has asked for credentials is never opened.
// Requests that run are counted on, by the name of their client.
func (p *Proxy) SetClients(list []Client) {
	p.clients.Store(&clients{list: p.counted(list)})
}

// counted returns a copy of list in which each client has what counts its requests,
// which those of one name share, and the header that names it.
func (p *Proxy) counted(list []Client) []Client {
	list = slices.Clone(list)
	for i := range list {
		c := &list[i]
		count, _ := p.runningOf.LoadOrStore(c.Name, new(running))
		c.running = count.(*running)
		c.callOptions = []string{"client=" + c.Name}
		if p.cfg.Observer != nil {
			c.observer = p.cfg.Observer.Client(c.Name)
		}
	}
	return list
}
