package devorg

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// controls is what tests have set.
type controls struct {
	clockOffset         time.Duration
	allowance           int64 // of API requests; 0 for the one that is not enforced
	grantDelay, latency time.Duration
	grants, requests    faultQueue
	paths               map[string]Fault // by the prefix of a path on the instance host
	tokenEndpoint       http.Handler
	instanceInGrants    string
}

// ExpireTokens makes every live token invalid, as if its time had come.
func (o *Org) ExpireTokens() { o.sessions.endAll() }

// RevokeTokens makes every live token invalid, as an administrator would.
func (o *Org) RevokeTokens() { o.sessions.endAll() }

// RotateKey replaces the key that assertions are verified with. Live tokens stay good.
func (o *Org) RotateKey(key *rsa.PublicKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.key = key
}

// SetCertificate replaces the certificate that is registered with the app. Live tokens stay
// good. Where Salesforce may take either key for some minutes, the old one is refused at once.
func (o *Org) SetCertificate(certificate *x509.Certificate) error {
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return errors.New("devorg: the certificate does not hold an RSA key")
	}
	o.RotateKey(key)
	return nil
}

func (o *Org) registeredKey() *rsa.PublicKey {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.key
}

// SetGrantDelay makes each grant wait before it is judged; 0 ends that.
func (o *Org) SetGrantDelay(d time.Duration) { o.set(func(c *controls) { c.grantDelay = d }) }

// SetLatency makes each request on the instance host wait; 0 ends that.
func (o *Org) SetLatency(d time.Duration) { o.set(func(c *controls) { c.latency = d }) }

// FailGrants answers the next n grants with f: all of them if n is negative, none from now
// on if it is 0.
func (o *Org) FailGrants(n int, f Fault) { o.set(func(c *controls) { c.grants = faultQueue{n, f} }) }

// FailRequests does for the instance host what FailGrants does for grants.
func (o *Org) FailRequests(n int, f Fault) {
	o.set(func(c *controls) { c.requests = faultQueue{n, f} })
}

// SetClockOffset moves the org's clock, which shows in the Date header of every answer.
func (o *Org) SetClockOffset(d time.Duration) { o.set(func(c *controls) { c.clockOffset = d }) }

// SetAPIUsage says how many API requests were used today and how many there are, and makes
// the org refuse those beyond. An allowance of 0 ends that.
func (o *Org) SetAPIUsage(used, allowance int64) {
	o.stats.apiUsage.Store(used)
	o.set(func(c *controls) { c.allowance = allowance })
}

// allowance returns the API requests of a day.
func (o *Org) allowance() int64 { return cmp.Or(o.setAllowance(), dailyRequests) }

func (o *Org) setAllowance() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.controls.allowance
}

// SetTokenEndpoint puts h in the place of the token endpoint; nil restores it.
func (o *Org) SetTokenEndpoint(h http.Handler) { o.set(func(c *controls) { c.tokenEndpoint = h }) }

// SetInstanceURLInGrants makes grants name another instance; empty restores the truth.
func (o *Org) SetInstanceURLInGrants(raw string) {
	o.set(func(c *controls) { c.instanceInGrants = raw })
}

func (o *Org) set(change func(*controls)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.controls)
}

// MoveInstance opens another instance host and returns its URL. New tokens are for it, old
// ones are good for nothing, and the old host answers 420 to everything. Behind a public URL the new host keeps its name and
// changes its port.
func (o *Org) MoveInstance() (string, error) {
	name, _, err := net.SplitHostPort(o.cfg.InstanceListen)
	if err != nil {
		return "", fmt.Errorf("devorg: InstanceListen: %w", err)
	}
	moved, err := o.listenInstance(net.JoinHostPort(name, "0"), "")
	if err != nil {
		return "", err
	}
	if o.cfg.PublicInstanceURL != "" {
		public, _ := url.Parse(o.cfg.PublicInstanceURL)
		own, _ := url.Parse(moved.url)
		moved.url = public.Scheme + "://" + net.JoinHostPort(public.Hostname(), own.Port())
	}
	o.mu.Lock()
	o.retired = append(o.retired, o.instance)
	o.instance = moved
	o.mu.Unlock()
	o.sessions.endAll()
	return moved.url, nil
}

func (o *Org) grantControls() (time.Duration, Fault, bool, http.Handler) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fault, faulty := o.controls.grants.next()
	return o.controls.grantDelay, fault, faulty, o.controls.tokenEndpoint
}

func (o *Org) requestControls() (time.Duration, Fault, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fault, faulty := o.controls.requests.next()
	return o.controls.latency, fault, faulty
}

func (o *Org) announcedInstance(h *host) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return cmp.Or(o.controls.instanceInGrants, h.url)
}

// pause waits and reports whether the request is still there.
func (o *Org) pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// controlHandler mirrors the methods above over plain HTTP, and lists them at its root. No browser has business here,
// so that a page someone happens to look at cannot reach it.
func (o *Org) controlHandler() http.Handler {
	mux := http.NewServeMux()
	var list strings.Builder
	post := func(path, parameters string, action func(r *http.Request) error) {
		fmt.Fprintf(&list, "POST %-15s %s\n", path, parameters)
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := action(r); err != nil {
				writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
				return
			}
			writeJSON(w, http.StatusOK, map[string]string{"instance_url": o.InstanceURL()})
		})
	}
	post("/expire", "all tokens are over", func(*http.Request) error { o.ExpireTokens(); return nil })
	post("/revoke", "all tokens are revoked", func(*http.Request) error { o.RevokeTokens(); return nil })
	post("/move", "the org moves to another instance host", func(*http.Request) error { _, err := o.MoveInstance(); return err })
	post("/slow", "grant=200ms request=1s: grants and requests wait; without either they do no more", o.controlSlow)
	post("/clock", "offset=-10m: the org's clock is wrong by that; without it, right", o.controlClock)
	post("/api-usage", "used=14000 limit=15000: API requests of the day; those beyond are refused; limit=0 ends that", o.controlAPIUsage)
	post("/records", "n=1000: so many accounts more", o.controlRecords)
	post("/publish", "?channel=/topic/X and JSON as the body: an event to who has subscribed", o.controlPublish)
	post("/certificate", "PEM as the body: the certificate of the app", o.controlCertificate)
	const fault = "n=1, and of status=503 type= body= error= description= hang=1 close=1 some: the next n fail; n=-1 all; n=0 none"
	post("/fail-grants", fault, controlFault(o.FailGrants, func(code, description string, _ int) Fault {
		return OAuthFault(code, description)
	}))
	post("/fail-requests", fault, controlFault(o.FailRequests, func(code, description string, status int) Fault {
		return RESTFault(status, code, description)
	}))
	fmt.Fprintf(&list, "GET  %-15s %s\n", "/stats", "what the org has seen so far")
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
		io.WriteString(w, list.String())
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, o.Stats())
	})
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" {
			http.Error(w, "not for browsers", http.StatusForbidden)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

func (o *Org) controlSlow(r *http.Request) error {
	grant, grantErr := durationOf(r, "grant")
	request, requestErr := durationOf(r, "request")
	if err := cmp.Or(grantErr, requestErr); err != nil {
		return err
	}
	o.SetGrantDelay(grant)
	o.SetLatency(request)
	return nil
}

func (o *Org) controlClock(r *http.Request) error {
	offset, err := durationOf(r, "offset")
	if err == nil {
		o.SetClockOffset(offset)
	}
	return err
}

func (o *Org) controlAPIUsage(r *http.Request) error {
	used, usedErr := strconv.ParseInt(cmp.Or(r.FormValue("used"), "0"), 10, 64)
	limit, limitErr := strconv.ParseInt(r.FormValue("limit"), 10, 64)
	if usedErr != nil || limitErr != nil || used < 0 || limit < 0 {
		return errors.New("used and limit must be numbers that are not negative")
	}
	o.SetAPIUsage(used, limit)
	return nil
}

func (o *Org) controlRecords(r *http.Request) error {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil || n < 1 || n > 1_000_000 {
		return fmt.Errorf("n must be a number from 1 to 1000000")
	}
	o.AddAccounts(n)
	return nil
}

func (o *Org) controlPublish(r *http.Request) error {
	var data any
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&data); err != nil {
		return fmt.Errorf("the body must be JSON: %w", err)
	}
	o.Publish(r.URL.Query().Get("channel"), data)
	return nil
}

// controlCertificate reads a certificate in PEM.
func (o *Org) controlCertificate(r *http.Request) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return errors.New("the body must be a certificate in PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	return o.SetCertificate(certificate)
}

// controlFault reads n, status, body, error, description, hang and close.
func controlFault(apply func(int, Fault), worded func(code, description string, status int) Fault) func(*http.Request) error {
	return func(r *http.Request) error {
		n, err := strconv.Atoi(cmp.Or(r.FormValue("n"), "1"))
		if err != nil {
			return fmt.Errorf("n must be a number")
		}
		status, err := strconv.Atoi(cmp.Or(r.FormValue("status"), "0"))
		if err != nil || (status != 0 && (status < 200 || status > 599)) {
			return fmt.Errorf("status must be from 200 to 599")
		}
		fault := Fault{Body: r.FormValue("body"), ContentType: r.FormValue("type")}
		if code := r.FormValue("error"); code != "" {
			fault = worded(code, r.FormValue("description"), cmp.Or(status, http.StatusBadRequest))
		}
		fault.Status = cmp.Or(status, fault.Status)
		fault.Hang = r.FormValue("hang") != ""
		fault.CloseConn = r.FormValue("close") != ""
		apply(n, fault)
		return nil
	}
}

// durationOf reads a duration such as 200ms; one that is not given is 0.
func durationOf(r *http.Request, name string) (time.Duration, error) {
	value := r.FormValue(name)
	if value == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, fmt.Errorf("%s must be a duration such as 200ms", name)
	}
	return d, nil
}
