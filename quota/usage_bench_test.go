package quota_test

import (
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/quota"
)

// BenchmarkAllows is what a request asks before it is sent.
func BenchmarkAllows(b *testing.B) {
	reserve, err := quota.ParseReserve("10%")
	if err != nil {
		b.Fatal(err)
	}
	var usage quota.Usage
	now := time.Now()
	usage.Note(quota.Reading{Used: 10, Limit: 15000}, quota.Reading{}, now)
	b.ReportAllocs()
	for b.Loop() {
		usage.Allows(reserve, now)
	}
}

// BenchmarkNote is what an answer is read for.
func BenchmarkNote(b *testing.B) {
	var usage quota.Usage
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		org, app := quota.ParseLimitInfo("api-usage=25/5000; per-app-api-usage=17/250(appName=sample)")
		usage.Note(org, app, now)
	}
}
