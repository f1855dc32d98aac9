package proxy

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
)

// refusal is Salesforce's opinion of a token, read off an answer.
type refusal int

const (
	accepted        refusal = iota // or the answer says nothing about the token
	refusedSession                 // expired, revoked, or of another instance
	refusedByPolicy                // the org does not take this session for this API
	unknownHost                    // the instance is not where it was
)

const (
	statusUnknownHost = 420      // Salesforce Edge has no routing for the Host
	maxRefusal        = 16 << 10 // bytes looked at; a refusal has under 1 KiB
)

// refusalOf reads the opinion off resp, whose body it leaves as it was. Each
// API has its own way to say it; any other 400, 401 or 403 is the API's answer
// to the request and none of our business.
func refusalOf(resp *http.Response, path string) refusal {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		if resp.Request.Method == http.MethodHead {
			// No body to look at. Apex REST classes have their own 401s.
			if within(path, "/services/apexrest") {
				return accepted
			}
			return refusedSession
		}
		return sessionFault(peek(resp))
	case http.StatusForbidden:
		if isIdentity(path) && bytes.HasPrefix(bytes.TrimSpace(peek(resp)), []byte("Bad_OAuth_Token")) {
			return refusedSession
		}
	case http.StatusBadRequest:
		if within(path, "/services/async") && bulkFault(peek(resp)) == "InvalidSessionId" {
			return refusedSession
		}
	case http.StatusInternalServerError:
		if within(path, "/services/Soap") && soapFaultCode(peek(resp)) == "INVALID_SESSION_ID" {
			return refusedSession
		}
	case http.StatusOK:
		// Only an answer of known length: a long poll is not to be waited for.
		if within(path, "/cometd") && resp.ContentLength > 0 && bayeuxRefusal(peek(resp)) {
			return refusedSession
		}
	case statusUnknownHost:
		return unknownHost
	}
	return accepted
}

// bayeuxRefusal reports whether a CometD answer refuses the session: it does so
// within a message, with status 200.
func bayeuxRefusal(body []byte) bool {
	var messages []struct {
		Error string `json:"error"`
		Ext   struct {
			SFDC struct {
				FailureReason string `json:"failureReason"`
			} `json:"sfdc"`
		} `json:"ext"`
	}
	if json.Unmarshal(body, &messages) != nil {
		return false
	}
	for _, m := range messages {
		if strings.HasPrefix(m.Error, "401::") || strings.HasPrefix(m.Ext.SFDC.FailureReason, "401::") {
			return true
		}
	}
	return false
}

// isIdentity reports whether path is the identity service or userinfo, which
// answer a bad token with 403 and whose bodies hold absolute URLs.
func isIdentity(path string) bool {
	return within(path, "/id") || path == userInfoPath
}

// restFault is one error of a REST API, as JSON or as XML.
type restFault struct {
	Message string `json:"message" xml:"message"`
	Code    string `json:"errorCode" xml:"errorCode"`
}

// sessionFault reads a REST API's 401. The shape must be Salesforce's: a class
// in Apex may send a 401 of its own that quotes the code.
func sessionFault(body []byte) refusal {
	var faults []restFault
	if json.Unmarshal(body, &faults) != nil {
		var doc struct {
			XMLName xml.Name    `xml:"Errors"`
			Faults  []restFault `xml:"Error"`
		}
		if xml.Unmarshal(body, &doc) != nil {
			return accepted
		}
		faults = doc.Faults
	}
	switch {
	case len(faults) == 0 || faults[0].Code != "INVALID_SESSION_ID":
		return accepted
	case strings.Contains(faults[0].Message, "not valid for use with"):
		return refusedByPolicy
	case strings.Contains(faults[0].Message, "not attached to Agent"):
		return accepted // the app's set-up; no token of it would do
	}
	return refusedSession
}

// bulkFault returns the exception code of a Bulk API 1.0 error.
func bulkFault(body []byte) string {
	var fault struct {
		XMLName xml.Name `xml:"error" json:"-"`
		Code    string   `xml:"exceptionCode" json:"exceptionCode"`
	}
	if json.Unmarshal(body, &fault) != nil && xml.Unmarshal(body, &fault) != nil {
		return ""
	}
	return fault.Code
}

// peek returns the body of a short answer, decoded, and leaves resp with the
// same bytes to be read. Of a longer one it returns nothing.
func peek(resp *http.Response) []byte {
	if resp.ContentLength > maxRefusal {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal+1))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = failingReader{err}
	}
	resp.Body = &peeked{Reader: io.MultiReader(bytes.NewReader(raw), rest), Closer: resp.Body}
	if err != nil || len(raw) > maxRefusal {
		return nil
	}
	return decode(raw, resp.Header.Get("Content-Encoding"), maxRefusal)
}

// decode undoes a content coding that Salesforce knows. Of a body that has
// another, is broken or is longer than limit bytes it returns nothing.
func decode(body []byte, coding string, limit int64) []byte {
	decoder, err := uncoded(bytes.NewReader(body), coding)
	if err != nil {
		return nil
	}
	decoded, err := io.ReadAll(io.LimitReader(decoder, limit+1))
	if err != nil || int64(len(decoded)) > limit {
		return nil
	}
	return decoded
}

// peeked is a body of which the beginning has been looked at.
type peeked struct {
	io.Reader
	io.Closer
}

// failingReader repeats the error that a body broke off with.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }
