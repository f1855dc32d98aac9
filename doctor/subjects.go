package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// maxSubjects is how many users are tried besides SF_USERNAME: a grant is a
// login, of which the org counts each.
const maxSubjects = 20

// otherSubjects returns the clients that act for another user than SF_USERNAME,
// the first of each user.
func (x *examination) otherSubjects() []Client {
	if x.cfg.Listener == nil || x.cfg.Org.LoginURL == nil {
		return nil
	}
	var others []Client
	for _, c := range x.cfg.Listener.Clients {
		if c.Subject != x.cfg.Subject && !slices.ContainsFunc(others, func(o Client) bool { return o.Subject == c.Subject }) {
			others = append(others, c)
		}
	}
	return others
}

// subjects asks for a token of each other user, as the first request of a
// client does. What keeps one from it is explained for the first user whom it
// befalls.
func (x *examination) subjects(ctx context.Context) Result {
	all := x.otherSubjects()
	tried := all[:min(maxSubjects, len(all))]
	scope := count(len(tried), "other user") + " of clients"
	if len(tried) < len(all) {
		scope = fmt.Sprintf("the first %d of %s", len(tried), count(len(all), "other user")+" of clients")
	}
	var faults, explained []string
	var remedies []Remedy
	for _, c := range tried {
		_, err := x.org.Grant(ctx, c.Subject)
		if err == nil {
			continue
		}
		r, id := refused(err)
		faults = append(faults, fmt.Sprintf("client %s (%s): %s", c.Name, c.Setting, r.Detail))
		if !slices.Contains(explained, id) {
			explained = append(explained, id)
			remedies = append(remedies, x.remediesFor(c, r)...)
		}
	}
	if len(faults) == 0 {
		return passed("tokens for %s", scope)
	}
	r := failed("no token for %d of %s: %s", len(faults), scope, strings.Join(faults, "; "))
	r.Remedies = remedies
	return r
}

// remediesFor returns r's remedies for a client's user. The catalogue speaks of
// SF_USERNAME; this user's name is in another variable.
func (x *examination) remediesFor(c Client, r Result) []Remedy {
	remedies := x.approvals(r, c.Subject).Remedies
	for i, remedy := range remedies {
		remedies[i].Cause = strings.ReplaceAll(remedy.Cause, "SF_USERNAME", c.Setting)
		remedies[i].Fix = strings.ReplaceAll(remedy.Fix, "SF_USERNAME", c.Setting)
	}
	return remedies
}
