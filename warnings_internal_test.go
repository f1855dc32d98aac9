package main

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/config"
)

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		sf   config.Salesforce
		want []string // what is logged, by level and setting
	}{
		{config.Salesforce{}, []string{"WARN X"}},
		{config.Salesforce{TrustedDomains: []string{"salesforce.com", "acme.my.salesforce.com", "force.com"}}, []string{"WARN X"}},
		{config.Salesforce{TrustedDomains: []string{"force.com", "acme.example", "devorg"}}, []string{"WARN X", "WARN SF_TRUSTED_DOMAINS acme.example, devorg"}},
		{config.Salesforce{CAFile: "/ca.crt", TrustedDomains: []string{"notsalesforce.com"}}, []string{"WARN X", "WARN SF_TRUSTED_DOMAINS notsalesforce.com", "INFO SF_CA_FILE"}},
	} {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		logWarnings(logger, &config.Config{Salesforce: tt.sf, Warnings: []string{"X is wrong"}})
		lines := slices.Collect(strings.Lines(log.String()))
		if len(lines) != len(tt.want) {
			t.Errorf("the log for %+v is\n%s\nwant %q", tt.sf, &log, tt.want)
			continue
		}
		for i, want := range tt.want {
			for part := range strings.SplitSeq(want, " ") {
				if !strings.Contains(lines[i], part) {
					t.Errorf("the log for %+v has the line %q, want %q in it", tt.sf, lines[i], part)
				}
			}
		}
	}
}
