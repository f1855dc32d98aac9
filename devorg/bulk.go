package devorg

import (
	"fmt"
	"net/http"
	"strings"
)

// serveBulk answers for Bulk API 1.0, of which there is only the way it words errors: the
// token is in X-SFDC-Session, and a bad one is a 400.
func (o *Org) serveBulk(w http.ResponseWriter, r *http.Request, h *host) {
	token := r.Header.Get("X-Sfdc-Session")
	if token == "" {
		o.stats.unauthorized.Add(1)
		bulkError(w, r, "InvalidSessionId", "Unable to find session id")
		return
	}
	if _, live := o.authenticateToken(token, h); !live {
		bulkError(w, r, "InvalidSessionId", "Invalid session id")
		return
	}
	bulkError(w, r, "FeatureNotEnabled", "Async API not enabled")
}

// bulkError answers in JSON to a request in JSON, else in XML.
func bulkError(w http.ResponseWriter, r *http.Request, code, message string) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		writeJSON(w, http.StatusBadRequest, object{{"exceptionCode", code}, {"exceptionMessage", message}})
		return
	}
	w.Header().Set("Content-Type", "application/xml;charset=UTF-8")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><error xmlns="http://www.force.com/2009/06/asyncapi/dataload">`+
		`<exceptionCode>%s</exceptionCode><exceptionMessage>%s</exceptionMessage></error>`, code, message)
}
