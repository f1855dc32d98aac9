package proxy

import "testing"

func TestFamilyOf(t *testing.T) {
	for _, tc := range []struct{ path, want string }{
		{"/services/data/v60.0/sobjects/Account/001000000000001AAA", "sobjects"},
		{"/services/data/v60.0/query", "query"},
		{"/services/data/v60.0/query/01g000000000001AAA-2000", "query"},
		{"/services/data/v60.0/queryAll", "query"},
		{"/services/data/v60.0/search/suggestions", "search"},
		{"/services/data/v60.0/parameterizedSearch", "search"},
		{"/services/data/v60.0/composite/sobjects", "composite"},
		{"/services/data/v60.0/graphql", "graphql"},
		{"/services/data/v60.0/ui-api/records/001", "ui"},
		{"/services/data/v60.0/connect/files", "connect"},
		{"/services/data/v60.0/chatter/feeds", "connect"},
		{"/services/data/v60.0/analytics/reports", "analytics"},
		{"/services/data/v60.0/wave/datasets", "analytics"},
		{"/services/data/v60.0/tooling/query", "tooling"},
		{"/services/data/v60.0/jobs/ingest", "bulk"},
		{"/services/async/60.0/job", "bulk"},
		{"/services/data/v60.0/limits", "rest"},
		{"/services/data/v60.0", "rest"},
		{"/services/data", "rest"},
		{"/services/data/v60.0/sobjectsish", "rest"},
		{"/services/data/sobjects", "rest"},
		{"/services/apexrest/sobjects", "apexrest"},
		{"/services/Soap/u/60.0", "soap"},
		{"/services/Soap/class/Orders", "soap"},
		{"/cometd/60.0", "cometd"},
		{"/id/00D000000000001EAA/005000000000001AAA", "identity"},
		{"/services/oauth2/userinfo", "identity"},
		{"/services/oauth2/token", "login"},
		{"/services/oauth2/revoke", "login"},
		{"/services/dataloader", "other"},
		{"/query", "other"},
		{"/", "other"},
		{"", "other"},
	} {
		if got := familyOf(tc.path).String(); got != tc.want {
			t.Errorf("%s is of the family %s, want %s", tc.path, got, tc.want)
		}
	}
	seen := map[string]bool{}
	for f := range Family(Families) {
		if seen[f.String()] || f.String() == "" {
			t.Errorf("family %d has the name %q, which is none or another's", f, f)
		}
		seen[f.String()] = true
	}
}

func BenchmarkFamilyOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		familyOf("/services/data/v60.0/sobjects/Account/001000000000001AAA")
	}
}
