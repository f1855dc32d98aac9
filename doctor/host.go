package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/sfproxy/sfproxy/auth"
)

const (
	production = "https://login.salesforce.com"
	sandbox    = "https://test.salesforce.com"
)

// hostKind is what the name of a login host tells.
type hostKind struct {
	name string
	// known reports that the audience follows from the host for sure.
	known bool
	// advice is what would be better; wrong is why it cannot work.
	advice, wrong string
}

const (
	useMyDomain = "External Client Apps, and orgs whose My Domain policy prevents logins from the generic host, need the org's own My Domain: set SF_LOGIN_URL to it (Setup → My Domain → Current My Domain URL)"
	useAPIHost  = "set SF_LOGIN_URL to the org's My Domain, such as https://example.my.salesforce.com (Setup → My Domain → Current My Domain URL)"
)

// kindOf tells the kinds of login hosts apart by their names.
func kindOf(login *url.URL) hostKind {
	host := strings.ToLower(login.Hostname())
	ends := func(suffix string) bool { return strings.HasSuffix(host, suffix) }
	switch {
	case host == "login.salesforce.com":
		return hostKind{name: "the generic login host of production orgs", known: true, advice: useMyDomain}
	case host == "test.salesforce.com":
		return hostKind{name: "the generic login host of sandboxes", known: true, advice: useMyDomain}
	case ends(".lightning.force.com"), ends(".my.salesforce-setup.com"), ends(".vf.force.com"), ends(".visualforce.com"):
		return hostKind{name: "an address of the browser's", wrong: "the pages of an org are no login host"}
	case ends(".scratch.my.salesforce.com"):
		return hostKind{name: "My Domain of a scratch org", known: true}
	case ends(".my.salesforce.com") && auth.Audience(login) == sandbox:
		return hostKind{name: "My Domain of a sandbox", known: true}
	case ends(".my.salesforce.com"):
		return hostKind{name: "My Domain of a production or Developer Edition org", known: true}
	case ends(".my.site.com"), ends(".force.com"):
		return hostKind{name: "Experience Cloud site", known: true}
	case ends(".salesforce.com"):
		return hostKind{name: "an instance of Salesforce's, whose name changes when the org is moved", advice: useMyDomain}
	case ends(".salesforce.mil"), ends(".crmforce.mil"), ends(".sfcrmproducts.cn"):
		return hostKind{name: "an org in a cloud apart (government or China)"}
	}
	if isLocal(host) {
		return hostKind{name: "this machine: an org for tests"}
	}
	return hostKind{name: "no host of Salesforce's own domains: a custom domain, or an org for tests"}
}

// isLocal reports whether host can only be this machine.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// loginHost says what kind of host the tokens come from, and whether the
// audience fits it.
func (x *examination) loginHost(context.Context) Result {
	login := x.cfg.Org.LoginURL
	kind := kindOf(login)
	expected := auth.Audience(login)
	audience := cmp.Or(x.cfg.Org.Audience, expected)
	detail := fmt.Sprintf("%s is %s; audience %s", login, kind.name, auth.Foreign(audience))
	if kind.wrong != "" {
		return failed("%s: %s", detail, kind.wrong).fix(useAPIHost)
	}
	r := passed("%s", detail)
	if kind.known && !sameAudience(audience, expected) {
		r = warning("%s, which is %s, and this host's would be %s", detail, audienceName(audience), audienceName(expected)).
			fix("unset SF_AUDIENCE, or set it to " + expected)
	}
	if kind.advice != "" {
		r.Status = Warning
		r = r.fix(kind.advice)
	}
	return r
}

func sameAudience(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

// audienceName says what an audience stands for.
func audienceName(audience string) string {
	switch {
	case sameAudience(audience, production):
		return "that of production orgs"
	case sameAudience(audience, sandbox):
		return "that of sandboxes and scratch orgs"
	case strings.Contains(audience, ".my.salesforce.com"):
		return "a My Domain, which some orgs refuse"
	case strings.Contains(audience, ".my.site.com"), strings.Contains(audience, ".force.com"):
		return "that of a site"
	}
	return "none of Salesforce's"
}

// audiences returns what else the audience of an org at login may be, without
// the one that was tried.
func audiences(login *url.URL, tried string) []string {
	origin := login.Scheme + "://" + strings.ToLower(login.Host)
	var others []string
	for _, audience := range []string{auth.Audience(login), production, sandbox, origin + strings.TrimRight(login.Path, "/")} {
		known := sameAudience(audience, tried)
		for _, o := range others {
			known = known || sameAudience(audience, o)
		}
		if !known {
			others = append(others, audience)
		}
	}
	return others
}
