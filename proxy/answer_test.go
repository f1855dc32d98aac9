package proxy_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/proxy"
)

// The proxy's own answers speak the dialect of the API that was called.
func TestAnswerDialects(t *testing.T) {
	tokens := newTokens("http://localhost:1")
	tokens.err = &auth.GrantError{Code: "invalid_grant", Description: `a <b> & "c"`, Permanent: true, Hint: "mend it"}
	r := start(t, proxy.Config{Tokens: tokens})
	const message = `invalid_grant: a <b> & "c" (mend it)`
	jsonList := func(body string) (code, text string) {
		var faults []struct{ ErrorCode, Message string }
		if json.Unmarshal([]byte(body), &faults) == nil && len(faults) == 1 {
			return faults[0].ErrorCode, faults[0].Message
		}
		return "", ""
	}
	xmlList := func(body string) (string, string) {
		var doc struct {
			XMLName       xml.Name `xml:"Errors"`
			Code, Message string
			Error         struct {
				Code    string `xml:"errorCode"`
				Message string `xml:"message"`
			}
		}
		xml.Unmarshal([]byte(body), &doc)
		return doc.Error.Code, doc.Error.Message
	}
	soap := func(body string) (string, string) {
		var doc struct {
			XMLName xml.Name `xml:"http://schemas.xmlsoap.org/soap/envelope/ Envelope"`
			Fault   struct {
				Code   string `xml:"faultcode"`
				String string `xml:"faultstring"`
				Inner  string `xml:"detail>UnexpectedErrorFault>exceptionMessage"`
			} `xml:"Body>Fault"`
		}
		if err := xml.Unmarshal([]byte(body), &doc); err != nil || !strings.HasSuffix(doc.Fault.String, doc.Fault.Inner) {
			return "", ""
		}
		return strings.TrimPrefix(doc.Fault.Code, "sf:"), doc.Fault.Inner
	}
	bulkJSON := func(body string) (string, string) {
		var fault struct{ ExceptionCode, ExceptionMessage string }
		json.Unmarshal([]byte(body), &fault)
		return fault.ExceptionCode, fault.ExceptionMessage
	}
	bulkXML := func(body string) (string, string) {
		var fault struct {
			XMLName xml.Name `xml:"http://www.force.com/2009/06/asyncapi/dataload error"`
			Code    string   `xml:"exceptionCode"`
			Message string   `xml:"exceptionMessage"`
		}
		xml.Unmarshal([]byte(body), &fault)
		return fault.Code, fault.Message
	}
	for _, tt := range []struct {
		name, path, header string
		status             int
		contentType        string
		read               func(string) (string, string)
	}{
		{"REST", limitsPath, "Accept: */*", 502, "application/json;charset=UTF-8", jsonList},
		{"REST XML", limitsPath, "Accept: application/xml", 502, "application/xml;charset=UTF-8", xmlList},
		{"REST both", limitsPath, "Accept: application/json, application/xml", 502, "application/json;charset=UTF-8", jsonList},
		{"SOAP", "/services/Soap/u/60.0", "SOAPAction: x", 500, "text/xml;charset=UTF-8", soap},
		{"Bulk", "/services/async/60.0/job", "Content-Type: application/xml", 502, "application/xml;charset=UTF-8", bulkXML},
		{"Bulk JSON", "/services/async/60.0/job", "Content-Type: application/json", 502, "application/json;charset=UTF-8", bulkJSON},
		{"CometD", "/cometd/60.0", "Content-Type: application/json", 502, "application/json;charset=UTF-8", jsonList},
	} {
		got := r.send(t, "POST", tt.path, strings.NewReader(envelope("query", "urn:partner.soap.sforce.com")), tt.header, "X-Request-Id: mine")
		code, text := tt.read(got.body)
		if got.status != tt.status || got.header.Get("Content-Type") != tt.contentType || code != "PROXY_GRANT_REFUSED" || !strings.HasSuffix(text, message) {
			t.Errorf("%s: answer = %d %s %s", tt.name, got.status, got.header.Get("Content-Type"), got.body)
		}
		if got.header.Get("X-SFProxy-Error") != "PROXY_GRANT_REFUSED" || got.header.Get("X-Request-Id") != "mine" {
			t.Errorf("%s: headers = %v", tt.name, got.header)
		}
	}
	if got := r.send(t, "HEAD", limitsPath, nil); got.status != 502 || got.body != "" {
		t.Errorf("HEAD = %d %q", got.status, got.body)
	}
}

// What goes wrong on the way to Salesforce has a status of its own, and the
// message holds neither the query nor the instance's URL with it.
func TestAnswerToFailures(t *testing.T) {
	release := make(chan bool)
	silent := upstream(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	broken := upstream(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	untrusted := httptest.NewUnstartedServer(nil)
	untrusted.Config.ErrorLog = discardLog
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, tt := range []struct {
		name, instance string
		grant          error
		status         int
		code           string
		retryAfter     string
	}{
		{"grant refused", "", &auth.GrantError{Code: "invalid_client_id", Permanent: true}, 502, "PROXY_GRANT_REFUSED", ""},
		{"grant passing", "", &auth.GrantError{Code: "server_error"}, 503, "PROXY_GRANT_UNAVAILABLE", "5"},
		{"grant refused for some time", "", &auth.GrantError{Code: "invalid_grant", RetryAfter: 5 * time.Minute}, 503, "PROXY_GRANT_UNAVAILABLE", "300"},
		{"budget", "", &auth.BudgetError{Subject: username, RetryAfter: 1200 * time.Millisecond}, 429, "PROXY_GRANT_BUDGET", "2"},
		{"manager closed", "", auth.ErrClosed, 503, "PROXY_STOPPING", "1"},
		{"fault of our own", "", errors.New("signing: no entropy"), 502, "PROXY_GRANT_REFUSED", ""},
		{"dial refused", "http://" + closed.Addr().String(), nil, 503, "PROXY_INSTANCE_UNREACHABLE", "5"},
		{"untrusted", untrusted.URL, nil, 502, "PROXY_INSTANCE_UNTRUSTED", ""},
		{"silent", silent, nil, 504, "PROXY_INSTANCE_TIMEOUT", ""},
		{"broken", broken, nil, 502, "PROXY_INSTANCE_BROKE_OFF", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			transport := proxy.NewTransport(proxy.TransportConfig{Roots: x509.NewCertPool()})
			transport.ResponseHeaderTimeout = 100 * time.Millisecond
			tokens := newTokens(tt.instance)
			tokens.err = tt.grant
			r := start(t, proxy.Config{Tokens: tokens, Transport: transport})
			got := r.send(t, "POST", limitsPath+"?q=hidden-value", strings.NewReader("hidden-body"))
			got.wantFault(t, tt.status, tt.code)
			if got.header.Get("Retry-After") != tt.retryAfter {
				t.Errorf("Retry-After = %q, want %q", got.header.Get("Retry-After"), tt.retryAfter)
			}
			line := r.log.requests(t, 1)[0]
			if line["level"] != "WARN" {
				t.Errorf("it is logged at %v: %v", line["level"], line)
			}
			for _, hidden := range []string{"hidden-", "q=", "token-secret"} {
				if strings.Contains(got.body+r.log.String(), hidden) {
					t.Errorf("%q shows in %s or the log %s", hidden, got.body, r.log)
				}
			}
		})
	}
}

// Some clients find the fields of an error by their place.
func TestErrorHasSalesforcesOrder(t *testing.T) {
	r := start(t, proxy.Config{Tokens: newTokens("http://localhost:1")})
	if got := r.send(t, "GET", "/secur/frontdoor.jsp", nil); !strings.HasPrefix(got.body, `[{"message":"`) || !strings.HasSuffix(got.body, `,"errorCode":"PROXY_PATH_NEVER_ALLOWED"}]`) {
		t.Errorf("answer = %s, want message before errorCode", got.body)
	}
}

// What to set is readable as it is: PROXY_CLIENT_<n>_READ_ONLY.
func TestErrorIsReadable(t *testing.T) {
	r := start(t, proxy.Config{Tokens: newTokens("http://localhost:1")})
	if got := r.send(t, "GET", "/a%3Cn%3E", nil); !strings.Contains(got.body, "/a<n>") {
		t.Errorf("answer = %s, want /a<n> in it as it is", got.body)
	}
}
