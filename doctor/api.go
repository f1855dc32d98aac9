package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sfproxy/sfproxy/auth"
)

const maxAnswer = 256 << 10 // bytes

// answer is what the instance said.
type answer struct {
	status int
	body   []byte
	err    error // there was none
}

// ask sends a GET with the token to its instance.
func (x *examination) ask(ctx context.Context, path string) answer {
	return x.do(ctx, http.MethodGet, path, "")
}

// do sends a request with the token to its instance; an envelope makes it SOAP.
func (x *examination) do(ctx context.Context, method, path, envelope string) answer {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, x.token.InstanceURL.String()+path, strings.NewReader(envelope))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Authorization", "Bearer "+x.token.AccessToken.Reveal())
	req.Header.Set("Accept", "application/json")
	if envelope != "" {
		req.Header.Set("Accept", "text/xml")
		req.Header.Set("Content-Type", "text/xml; charset=UTF-8")
		req.Header.Set("SOAPAction", `""`)
	}
	resp, err := x.cfg.Transport.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{err: err}
	}
	return answer{status: resp.StatusCode, body: body}
}

// fault returns the code and the message of an error of the REST API or SOAP;
// both are empty if it is neither.
func (a answer) fault() (code, message string) {
	var faults []struct {
		Code    string `json:"errorCode"`
		Message string `json:"message"`
	}
	if json.Unmarshal(a.body, &faults) == nil && len(faults) > 0 {
		return faults[0].Code, faults[0].Message
	}
	var envelope struct {
		Code    string `xml:"Body>Fault>faultcode"`
		Message string `xml:"Body>Fault>faultstring"`
	}
	if xml.Unmarshal(a.body, &envelope) == nil {
		_, code, _ = strings.Cut(envelope.Code, ":")
		return code, strings.TrimPrefix(envelope.Message, code+": ")
	}
	return "", ""
}

// about says in a line what the answer is, never more of it than an error.
func (a answer) about() string {
	if a.err != nil {
		return auth.Foreign(a.err.Error())
	}
	if code, message := a.fault(); code != "" {
		return auth.Foreign(fmt.Sprintf("%d %s: %s", a.status, code, message))
	}
	return fmt.Sprintf("it answered %d %s", a.status, http.StatusText(a.status))
}

// instance reaches for the host that the token is good for. That it lies in a
// trusted domain is what the grant has made sure of.
func (x *examination) instance(ctx context.Context) Result {
	origin := x.token.InstanceURL
	a := x.ask(ctx, "/services/data/")
	operation, _ := errors.AsType[*net.OpError](a.err)
	_, private := errors.AsType[*auth.PrivateAddressError](a.err)
	switch {
	case operation != nil && operation.Op == "proxyconnect", private:
		entry := explainAPI(a)
		return failed("%s cannot be reached, since %s: %s", origin, entry.Meaning, a.about()).explained(entry)
	case isTimeout(a.err):
		return failed("%s does not answer in time: %s", origin, a.about()).explained(explainAPI(a))
	case a.err != nil:
		return failed("%s cannot be reached: %s", origin, a.about()).
			fix("let this machine reach " + origin.Host + " as it reaches the login host: DNS, firewall, HTTPS_PROXY, SF_CA_FILE")
	case a.status == http.StatusMisdirectedRequest || a.status == 420:
		return failed("%s answers that no org is there", origin).
			fix("if SF_INSTANCE_URL is set, correct it; else try again: an org that is being moved comes back under another name")
	}
	var list []struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(a.body, &list); a.status != http.StatusOK || err != nil || len(list) == 0 {
		entry := explainAPI(a)
		return failed("%s does not list its API versions: %s", origin, a.about()).explained(entry)
	}
	for _, v := range list {
		if _, err := strconv.ParseFloat(v.Version, 64); err == nil {
			x.versions = append(x.versions, v.Version)
		}
	}
	slices.SortFunc(x.versions, compareVersions)
	return passed("%s answers; it is trusted %s", origin, x.trust())
}

// isTimeout reports whether err is that a host which took the connection gave no
// answer.
func isTimeout(err error) bool { return err != nil && auth.ExplainTransport(err).ID == "no-answer" }

// trust says why tokens may go to the instance, as auth has judged.
func (x *examination) trust() string {
	host, login := x.token.InstanceURL.Hostname(), x.cfg.Org.LoginURL.Hostname()
	domains := x.cfg.Org.TrustedDomains
	if domains == nil {
		domains = auth.TrustedDomains
	}
	in := func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) }
	switch i := slices.IndexFunc(domains, in); {
	case i >= 0:
		return "as a host of " + domains[i]
	case strings.EqualFold(host, login):
		return "as the login host itself"
	case isLocal(host):
		return "as this machine, like the login host"
	}
	return "as SF_INSTANCE_URL"
}

func compareVersions(a, b string) int {
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	return cmp.Compare(x, y)
}

// apiVersions compares what the org has with what the proxy is to raise old
// versions to.
func (x *examination) apiVersions(context.Context) Result {
	if len(x.versions) == 0 {
		return failed("the org lists none").explained(explainAPI(answer{}))
	}
	lowest, highest := x.versions[0], x.versions[len(x.versions)-1]
	detail := fmt.Sprintf("%s to %s", lowest, highest)
	least := x.cfg.MinAPIVersion
	switch {
	case least == "":
		return passed("%s", detail)
	case compareVersions(least, lowest) < 0, compareVersions(least, highest) > 0:
		r := failed("%s, and SF_MIN_API_VERSION=%s is none of them", detail, least).
			fix(fmt.Sprintf("set SF_MIN_API_VERSION to one from %s to %s", lowest, highest))
		r.usable = true
		return r
	}
	return passed("%s; requests for less than %s go to that", detail, least)
}

// root is the path of the highest API version.
func (x *examination) root() string { return "/services/data/v" + x.versions[len(x.versions)-1] }

// apiAccess makes the cheapest call that needs API access.
func (x *examination) apiAccess(ctx context.Context) Result {
	a := x.ask(ctx, x.root()+"/")
	if a.status == http.StatusOK {
		return passed("is on: the REST API takes the token")
	}
	entry := explainAPI(a)
	return failed("%s: %s", entry.Meaning, a.about()).explained(entry)
}

// lowLimit is the share of the day's API requests below which what is left is
// worth a warning.
const lowLimit = 0.10

// limits tells how much of the day's API requests is left.
func (x *examination) limits(ctx context.Context) Result {
	a := x.ask(ctx, x.root()+"/limits")
	var limits struct {
		Daily struct {
			Max       int64
			Remaining int64
		} `json:"DailyApiRequests"`
	}
	switch {
	case a.status == http.StatusOK && json.Unmarshal(a.body, &limits) == nil && limits.Daily.Max > 0:
	case a.status == http.StatusOK:
		return skipped("the org does not tell its API requests a day")
	default:
		entry := explainAPI(a)
		return warning("the org does not tell: %s", a.about()).explained(entry)
	}
	left, most := limits.Daily.Remaining, limits.Daily.Max
	detail := fmt.Sprintf("API requests: %d of %d used within 24 hours", most-left, most)
	if float64(left) < lowLimit*float64(most) {
		return warning("%s, %d left: without any, Salesforce answers REQUEST_LIMIT_EXCEEDED", detail, left).
			fix("find what uses them up: Setup → Company Information → API Requests, Last 24 Hours")
	}
	return passed("%s", detail)
}
