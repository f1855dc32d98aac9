package policy

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Rule names what a decision is owed to. There are few, so that a metric may
// have them as a label.
type Rule string

// The rules, in the order they are asked.
const (
	Paths        Rule = "paths"
	APIVersions  Rule = "api_versions"
	Body         Rule = "body" // what a rule has to look into can be read in no way, or in two
	ReadOnly     Rule = "read_only"
	ReadObjects  Rule = "read_objects"
	WriteObjects Rule = "write_objects"
)

// Config is what a policy is made of. Its zero value allows everything.
type Config struct {
	// ReadOnly lets only pass what surely changes nothing.
	ReadOnly bool
	// AllowPaths are path prefixes in their canonical form; nil stands for all.
	AllowPaths []string
	// ReadObjects and WriteObjects are the names of objects, and, in
	// ReadObjects, of relationships that queries may follow, such as
	// Contact.Account. Case does not matter; nil stands for all.
	ReadObjects, WriteObjects []string
	// APIVersions are versions and ranges with commas between them, such as
	// "58.0-62.0", "60.0", "55.0-"; "" stands for all.
	APIVersions string
	// OwnSubject says that no other client acts as the same Salesforce user,
	// so that the cursors and jobs which the user can name come of requests of
	// this client.
	OwnSubject bool
}

// Policy decides. Immutable, and so safe for concurrent use.
type Policy struct {
	cfg           Config
	reads, writes objects
	versions      versions
}

// New returns a Policy. The error names what is wrong with cfg's values.
func New(cfg Config) (*Policy, error) {
	p := &Policy{cfg: cfg}
	var err error
	if p.versions, err = parseVersions(cfg.APIVersions); err != nil {
		return nil, err
	}
	if p.reads, err = parseObjects(cfg.ReadObjects); err != nil {
		return nil, err
	}
	if p.writes, err = parseObjects(cfg.WriteObjects); err != nil {
		return nil, err
	}
	for _, prefix := range cfg.AllowPaths {
		if !strings.HasPrefix(prefix, "/") {
			return nil, fmt.Errorf("%q does not begin with a slash", prefix)
		}
	}
	return p, nil
}

// Request is what a policy judges.
type Request struct {
	Method string
	// Path is the canonical form of the path: percent-decoded once, without
	// empty and dot segments.
	Path string
	// SentPath is the canonical path that Salesforce is sent; "" stands for Path.
	SentPath string
	RawQuery string
	Header   http.Header
	// HasBody says that the request has a body, or may have one.
	HasBody bool
	// Body returns the whole body without its content coding. An error is
	// shown to the client. It is called at most once; nil stands for no body.
	Body func() ([]byte, error)
	// Resolve returns the canonical form of the raw path of a request within
	// the request, or why such a path is never forwarded. Required.
	Resolve func(rawPath string) (string, error)
	// ResolveAll has Resolve asked about each request within the request, even
	// if no rule of the policy needs them.
	ResolveAll bool
}

// Decision is what comes of a request.
type Decision struct {
	Allowed bool
	// Rule is the one that denies; "" if none does.
	Rule Rule
	// Reason says why the rule denies, and Remedy what would allow it.
	Reason, Remedy string
	// Effect says what the request would do, as far as that was looked into;
	// "" if it was not.
	Effect string
}

// Error returns what a client is told of a denial.
func (d Decision) Error() string { return d.Reason + ": " + d.Remedy }

// Decide judges a request. It asks for the body only if a rule needs it.
func (p *Policy) Decide(r *Request) Decision {
	sent := cmp.Or(r.SentPath, r.Path)
	for _, denial := range []*Decision{p.judgePath(r.Path), p.judgePath(sent), p.judgeVersion(sent)} {
		if denial != nil {
			return *denial
		}
	}
	if !p.needsEffect() && !((r.ResolveAll || p.looksWithin()) && isComposite(r.Path)) {
		return Decision{Allowed: true}
	}
	e, err := inspect(p, r)
	if err != nil {
		return denialOf(err)
	}
	return p.judge(e)
}

// needsEffect reports whether a rule asks for more than paths.
func (p *Policy) needsEffect() bool { return p.cfg.ReadOnly || p.listsObjects() }

// listsObjects reports whether the objects of a request matter.
func (p *Policy) listsObjects() bool { return p.reads.listed || p.writes.listed }

// looksWithin reports whether requests within requests have to be looked at.
func (p *Policy) looksWithin() bool {
	return p.cfg.AllowPaths != nil || p.versions != nil || p.needsEffect()
}

// judgePath applies the rule about paths to a canonical one. Nil stands for no
// denial.
func (p *Policy) judgePath(path string) *Decision {
	if p.cfg.AllowPaths == nil || slices.ContainsFunc(p.cfg.AllowPaths, func(prefix string) bool { return within(path, prefix) }) {
		return nil
	}
	return &Decision{Rule: Paths, Reason: path + " is not among this client's paths",
		Remedy: "to allow it, add a prefix of it to PROXY_CLIENT_<n>_ALLOW_PATHS"}
}

// judgeVersion applies the rule about API versions to a canonical path. Nil
// stands for no denial.
func (p *Policy) judgeVersion(path string) *Decision {
	asked, ok := p.versions.judge(path)
	if ok {
		return nil
	}
	return &Decision{Rule: APIVersions, Reason: fmt.Sprintf("this client may not use API version %q", asked),
		Remedy: "to allow it, add the version to PROXY_CLIENT_<n>_API_VERSIONS"}
}

// judge applies the rules that go by an effect.
func (p *Policy) judge(e effect) Decision {
	d := Decision{Effect: e.String()}
	switch reads, writes := p.reads.missing(e.reads), p.writes.missing(e.writes); {
	case p.cfg.ReadOnly && e.changes != "":
		d.Rule, d.Reason = ReadOnly, "this client is read-only, and "+e.changes
		d.Remedy = cmp.Or(e.remedy, "to allow it, unset PROXY_CLIENT_<n>_READ_ONLY")
	case p.reads.listed && e.unknown != "":
		d.Rule, d.Reason = ReadObjects, "this client may read only the objects that are listed, and "+e.unknown
		d.Remedy = "to allow it, unset PROXY_CLIENT_<n>_READ_OBJECTS"
	case p.writes.listed && e.unknown != "" && e.changes != "":
		d.Rule, d.Reason = WriteObjects, "this client may write only the objects that are listed, and "+e.unknown
		d.Remedy = "to allow it, unset PROXY_CLIENT_<n>_WRITE_OBJECTS"
	case reads != "":
		d.Rule, d.Reason = ReadObjects, "this client may not read "+reads
		d.Remedy = "to allow it, add " + reads + " to PROXY_CLIENT_<n>_READ_OBJECTS"
	case writes != "":
		d.Rule, d.Reason = WriteObjects, "this client may not write "+writes
		d.Remedy = "to allow it, add " + writes + " to PROXY_CLIENT_<n>_WRITE_OBJECTS"
	default:
		d.Allowed = true
	}
	return d
}

// within reports whether p is prefix or lies under it.
func within(p, prefix string) bool {
	prefix = strings.TrimRight(prefix, "/")
	return p == prefix || strings.HasPrefix(p, prefix) && p[len(prefix)] == '/'
}
