package proxy

import (
	"errors"
	"strings"
	"testing"
)

const (
	soapNS    = `xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"`
	partnerNS = `urn:partner.soap.sforce.com`
)

func TestScanEnvelopeFindsTheSession(t *testing.T) {
	for _, tt := range []struct {
		name, in, session, operation, out string
	}{
		{"plain",
			`<e:Envelope ` + soapNS + `><e:Header><SessionHeader xmlns="urn:partner.soap.sforce.com"><sessionId>old</sessionId></SessionHeader></e:Header><e:Body><query xmlns="urn:partner.soap.sforce.com"><queryString>SELECT Id FROM Account</queryString></query></e:Body></e:Envelope>`,
			"old", "query",
			`<e:Envelope ` + soapNS + `><e:Header><SessionHeader xmlns="urn:partner.soap.sforce.com"><sessionId>NEW</sessionId></SessionHeader></e:Header><e:Body><query xmlns="urn:partner.soap.sforce.com"><queryString>SELECT Id FROM Account</queryString></query></e:Body></e:Envelope>`},
		{"prefixes, attributes, white space, a comment and CDATA",
			"<?xml version=\"1.0\"?>\r\n<e:Envelope " + soapNS + " xmlns:p='urn:partner.soap.sforce.com'>\n <e:Header a='1'>\n<p:SessionHeader e:mustUnderstand='0'><p:sessionId x='y'>\n <!-- sessionId --><![CDATA[old]]> </p:sessionId></p:SessionHeader></e:Header><e:Body><p:create>…</p:create></e:Body></e:Envelope>",
			"old", "create",
			"<?xml version=\"1.0\"?>\r\n<e:Envelope " + soapNS + " xmlns:p='urn:partner.soap.sforce.com'>\n <e:Header a='1'>\n<p:SessionHeader e:mustUnderstand='0'><p:sessionId x='y'>NEW</p:sessionId></p:SessionHeader></e:Header><e:Body><p:create>…</p:create></e:Body></e:Envelope>"},
		{"empty element",
			`<e:Envelope ` + soapNS + ` xmlns:p="urn:partner.soap.sforce.com"><e:Header><p:SessionHeader><p:sessionId /></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`,
			"", "query",
			`<e:Envelope ` + soapNS + ` xmlns:p="urn:partner.soap.sforce.com"><e:Header><p:SessionHeader><p:sessionId >NEW</p:sessionId></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`},
		{"empty SessionHeader",
			`<e:Envelope ` + soapNS + ` xmlns:p="urn:partner.soap.sforce.com"><e:Header><p:SessionHeader/></e:Header><e:Body><p:query/></e:Body></e:Envelope>`,
			"", "query",
			`<e:Envelope ` + soapNS + ` xmlns:p="urn:partner.soap.sforce.com"><e:Header><p:SessionHeader><sessionId xmlns="urn:partner.soap.sforce.com">NEW</sessionId></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`},
		{"no SessionHeader",
			`<e:Envelope ` + soapNS + `><e:Header><CallOptions xmlns="` + partnerNS + `"><client>x</client></CallOptions></e:Header><e:Body><p:query xmlns:p="` + partnerNS + `"/></e:Body></e:Envelope>`,
			"", "query",
			`<e:Envelope ` + soapNS + `><e:Header><SessionHeader xmlns="` + partnerNS + `"><sessionId>NEW</sessionId></SessionHeader><CallOptions xmlns="` + partnerNS + `"><client>x</client></CallOptions></e:Header><e:Body><p:query xmlns:p="` + partnerNS + `"/></e:Body></e:Envelope>`},
		{"empty Header",
			`<e:Envelope ` + soapNS + `><e:Header/><e:Body><p:query xmlns:p="` + partnerNS + `"/></e:Body></e:Envelope>`,
			"", "query",
			`<e:Envelope ` + soapNS + `><e:Header><SessionHeader xmlns="` + partnerNS + `"><sessionId>NEW</sessionId></SessionHeader></e:Header><e:Body><p:query xmlns:p="` + partnerNS + `"/></e:Body></e:Envelope>`},
		{"no Header",
			`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><query xmlns="` + partnerNS + `"/></Body></Envelope>`,
			"", "query",
			`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><sfproxy:Header xmlns:sfproxy="http://schemas.xmlsoap.org/soap/envelope/"><SessionHeader xmlns="` + partnerNS + `"><sessionId>NEW</sessionId></SessionHeader></sfproxy:Header><Body><query xmlns="` + partnerNS + `"/></Body></Envelope>`},
		{"a sessionId elsewhere",
			`<e:Envelope ` + soapNS + ` xmlns:p="urn:partner.soap.sforce.com"><e:Header><p:Other><p:sessionId>not this</p:sessionId></p:Other><p:SessionHeader><p:sessionId>old</p:sessionId></p:SessionHeader></e:Header><e:Body><p:query><p:sessionId>nor this</p:sessionId></p:query></e:Body></e:Envelope>`,
			"old", "query",
			`<e:Envelope ` + soapNS + ` xmlns:p="urn:partner.soap.sforce.com"><e:Header><p:Other><p:sessionId>not this</p:sessionId></p:Other><p:SessionHeader><p:sessionId>NEW</p:sessionId></p:SessionHeader></e:Header><e:Body><p:query><p:sessionId>nor this</p:sessionId></p:query></e:Body></e:Envelope>`},
		{"nil",
			`<e:Envelope ` + soapNS + ` xmlns:p="` + partnerNS + `" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Header><p:SessionHeader><p:sessionId xsi:nil="true"/></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`,
			"", "query",
			`<e:Envelope ` + soapNS + ` xmlns:p="` + partnerNS + `" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Header><p:SessionHeader><p:sessionId>NEW</p:sessionId></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`},
		{"Body's own prefix",
			`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><b:Body xmlns:b="http://schemas.xmlsoap.org/soap/envelope/"><query xmlns="` + partnerNS + `"/></b:Body></Envelope>`,
			"", "query",
			`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><sfproxy:Header xmlns:sfproxy="http://schemas.xmlsoap.org/soap/envelope/"><SessionHeader xmlns="` + partnerNS + `"><sessionId>NEW</sessionId></SessionHeader></sfproxy:Header><b:Body xmlns:b="http://schemas.xmlsoap.org/soap/envelope/"><query xmlns="` + partnerNS + `"/></b:Body></Envelope>`},
		{"Latin-1",
			"<?xml version='1.0' encoding='ISO-8859-1'?><!--\xe4\xf6--><e:Envelope " + soapNS + ` xmlns:p="` + partnerNS + `"><e:Header><p:SessionHeader><p:sessionId>old</p:sessionId></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`,
			"old", "query",
			"<?xml version='1.0' encoding='ISO-8859-1'?><!--\xe4\xf6--><e:Envelope " + soapNS + ` xmlns:p="` + partnerNS + `"><e:Header><p:SessionHeader><p:sessionId>NEW</p:sessionId></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`},
		{"a byte order mark",
			"\ufeff<e:Envelope " + soapNS + ` xmlns:p="` + partnerNS + `"><e:Header><p:SessionHeader><p:sessionId>old</p:sessionId></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`,
			"old", "query",
			"\ufeff<e:Envelope " + soapNS + ` xmlns:p="` + partnerNS + `"><e:Header><p:SessionHeader><p:sessionId>NEW</p:sessionId></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := scanEnvelope([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if e.session != tt.session || e.operation.Local != tt.operation || e.operation.Space != partnerNS {
				t.Errorf("session %q, operation %v; want %q, %q", e.session, e.operation, tt.session, tt.operation)
			}
			if got := tt.in[:e.start] + e.with("NEW") + tt.in[e.end:]; got != tt.out {
				t.Errorf("rewritten:\n%s\nwant:\n%s", got, tt.out)
			}
		})
	}
}

func TestScanEnvelopeRefuses(t *testing.T) {
	open, body := `<e:Envelope `+soapNS+` xmlns:p="`+partnerNS+`">`, `<e:Body><p:query/></e:Body></e:Envelope>`
	for _, tt := range []struct {
		name, in string
		want     error
	}{
		{"billion laughs", `<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + open + body, errDoctype},
		{"external entity", `<!DOCTYPE l SYSTEM "file:///etc/passwd">` + open + body, errDoctype},
		{"undeclared entity", open + `<e:Header><p:SessionHeader><p:sessionId>&a;</p:sessionId></p:SessionHeader></e:Header>` + body, errEnvelopeHead},
		{"two SessionHeaders", open + `<e:Header><p:SessionHeader><p:sessionId>a</p:sessionId></p:SessionHeader><p:SessionHeader/></e:Header>` + body, errTwoSessions},
		{"two sessionIds", open + `<e:Header><p:SessionHeader><p:sessionId>a</p:sessionId><p:sessionId>b</p:sessionId></p:SessionHeader></e:Header>` + body, errTwoSessions},
		{"element in sessionId", open + `<e:Header><p:SessionHeader><p:sessionId>a<p:b/></p:sessionId></p:SessionHeader></e:Header>` + body, errEnvelopeHead},
		{"sessionId in another namespace", open + `<e:Header><p:SessionHeader><x:sessionId xmlns:x="urn:other">a</x:sessionId></p:SessionHeader></e:Header>` + body, errForeignSession},
		{"SOAP 1.2", `<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><a/></e:Body></e:Envelope>`, errEnvelopeHead},
		{"no envelope", `<query/>`, errEnvelopeHead},
		{"no operation", open + `<e:Body></e:Body></e:Envelope>`, errEnvelopeHead},
		{"UTF-16", "\xfe\xff\x00<\x00e", errEnvelopeHead},
		{"declared UTF-16", `<?xml version="1.0" encoding="UTF-16"?>` + open + body, errEnvelopeHead},
		{"cut off", open + `<e:Header>` + strings.Repeat(" ", 100), errEnvelopeHead},
		{"empty", ``, errEnvelopeHead},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if e, err := scanEnvelope([]byte(tt.in)); !errors.Is(err, tt.want) {
				t.Errorf("scanEnvelope = %+v, %v; want %v", e, err, tt.want)
			}
		})
	}
}

// FuzzScanEnvelope: what is accepted can be rewritten, and then says the new
// session and the same operation.
func FuzzScanEnvelope(f *testing.F) {
	f.Add([]byte(`<e:Envelope ` + soapNS + `><e:Header><SessionHeader xmlns="` + partnerNS + `"><sessionId>old</sessionId></SessionHeader></e:Header><e:Body><query xmlns="` + partnerNS + `"/></e:Body></e:Envelope>`))
	f.Add([]byte(`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><query xmlns="` + partnerNS + `"/></Body></Envelope>`))
	f.Add([]byte(`<e:Envelope ` + soapNS + ` xmlns:p="` + partnerNS + `"><e:Header><p:SessionHeader><p:sessionId/></p:SessionHeader></e:Header><e:Body><p:query/></e:Body></e:Envelope>`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := scanEnvelope(in)
		if err != nil {
			return
		}
		out := string(in[:e.start]) + e.with("NEW") + string(in[e.end:])
		again, err := scanEnvelope([]byte(out))
		if err != nil {
			t.Fatalf("%q became %q, which is refused: %v", in, out, err)
		}
		if again.session != "NEW" || again.operation != e.operation {
			t.Fatalf("%q became %q with session %q and operation %v", in, out, again.session, again.operation)
		}
	})
}
