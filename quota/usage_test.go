package quota_test

import (
	"testing"
	"time"

	"github.com/sfproxy/sfproxy/quota"
)

func TestParseLimitInfo(t *testing.T) {
	for _, test := range []struct {
		value    string
		org, app quota.Reading
	}{
		{value: "api-usage=18/15000", org: quota.Reading{Used: 18, Limit: 15000}},
		{"api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)", quota.Reading{Used: 25, Limit: 5000}, quota.Reading{Used: 17, Limit: 250}},
		{"per-app-api-usage=17/250(appName=a;b); api-usage=25/5000", quota.Reading{Used: 25, Limit: 5000}, quota.Reading{Used: 17, Limit: 250}},
		{value: "per-app-api-usage=17/250(appName=x)", app: quota.Reading{Used: 17, Limit: 250}},
		{value: "api-usage=0/15000", org: quota.Reading{Used: 0, Limit: 15000}},
		{value: "api-usage=16000/15000", org: quota.Reading{Used: 16000, Limit: 15000}},
		{value: ""},
		{value: "api-usage=18"},
		{value: "api-usage=1/0"},
		{value: "api-usage=-1/5"},
		{value: "api-usage=1/99999999999999999999"},
		{value: "other-usage=1/2"},
	} {
		if org, app := quota.ParseLimitInfo(test.value); org != test.org || app != test.app {
			t.Errorf("ParseLimitInfo(%q) = %+v, %+v; want %+v, %+v", test.value, org, app, test.org, test.app)
		}
	}
	const typical = "api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)"
	if n := testing.AllocsPerRun(100, func() { quota.ParseLimitInfo(typical) }); n > 0 {
		t.Errorf("ParseLimitInfo allocates %v times", n)
	}
}

func TestParseLimitInfoHeader(t *testing.T) {
	const head = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"><soapenv:Header><LimitInfoHeader>`
	const org = `<limitInfo><current>5</current><limit>100000</limit><type>API REQUESTS</type></limitInfo>`
	const app = "<limitInfo>\n  <appName>a</appName>\n  <current>200</current>\n  <limit>250</limit>\n  <type>API REQUESTS PER APP</type>\n</limitInfo>"
	const bursts = `<limitInfo><current>749</current><limit>750</limit><type>API BURSTS</type></limitInfo>`
	ofOrg, ofApp := quota.Reading{Used: 5, Limit: 100000}, quota.Reading{Used: 200, Limit: 250}
	for _, test := range []struct {
		name, beginning string
		org, app        quota.Reading
	}{
		{name: "org", beginning: head + org + `</LimitInfoHeader></soapenv:Header><soapenv:Body>`, org: ofOrg},
		{"app", head + org + app, ofOrg, ofApp},
		{name: "another limit", beginning: head + bursts + org, org: ofOrg},
		{name: "prefixed", beginning: `<sf:limitInfo><sf:current>5</sf:current><sf:limit>7</sf:limit><sf:type>API REQUESTS</sf:type></sf:limitInfo>`, org: quota.Reading{Used: 5, Limit: 7}},
		{name: "cut", beginning: head + org[:len(org)-14]},
		{name: "none", beginning: head},
		{name: "nothing"},
	} {
		if org, app := quota.ParseLimitInfoHeader([]byte(test.beginning)); org != test.org || app != test.app {
			t.Errorf("%s: ParseLimitInfoHeader = %+v, %+v; want %+v, %+v", test.name, org, app, test.org, test.app)
		}
	}
}

func TestUsageIsTheScarcest(t *testing.T) {
	now := time.Now()
	var usage quota.Usage
	usage.Note(quota.Reading{Used: 10, Limit: 100}, quota.Reading{Used: 40, Limit: 50}, now)
	usage.Note(quota.Reading{}, quota.Reading{}, now) // an answer that told nothing
	if org, scarcest := usage.Org(), usage.Scarcest(); org.Used != 10 || scarcest.Used != 40 {
		t.Errorf("Org = %+v, Scarcest = %+v", org, scarcest)
	}
	usage.Note(quota.Reading{Used: 90, Limit: 100}, quota.Reading{Used: 40, Limit: 50}, now)
	if scarcest := usage.Scarcest(); scarcest.Used != 90 {
		t.Errorf("Scarcest = %+v", scarcest)
	}
}

func TestUsageStopsAtTheReserve(t *testing.T) {
	now := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		reserve string
		used    int64
		want    bool
	}{
		{"", 15000, true},
		{"0%", 15000, true},
		{"10%", 13500, true},
		{"10%", 13501, false},
		{"2000", 13000, true},
		{"2000", 13001, false},
		{"100%", 1, false},
		{"10%", 20000, false},
	} {
		reserve, err := quota.ParseReserve(test.reserve)
		if err != nil {
			t.Fatal(err)
		}
		var usage quota.Usage
		if ok, _ := usage.Allows(reserve, now); !ok {
			t.Errorf("reserve %q: refused while nothing is known", test.reserve)
		}
		usage.Note(quota.Reading{Used: test.used, Limit: 15000}, quota.Reading{}, now)
		if ok, _ := usage.Allows(reserve, now); ok != test.want {
			t.Errorf("reserve %q, %d of 15000 used: Allows = %v", test.reserve, test.used, ok)
		}
	}
}

func TestUsageLeft(t *testing.T) {
	reserve, err := quota.ParseReserve("10%")
	if err != nil {
		t.Fatal(err)
	}
	var usage quota.Usage
	if left, known := usage.Left(reserve); known {
		t.Errorf("%d requests are left before anybody told of them", left)
	}
	for _, test := range []struct{ used, appUsed, want int64 }{
		{1000, 0, 900}, // of the app's
		{1000, 400, 500},
		{1000, 900, 0},
		{1000, 950, 0},
		{13490, 0, 10}, // of the org's
		{14000, 0, 0},
	} {
		usage.Note(quota.Reading{Used: test.used, Limit: 15000}, quota.Reading{Used: test.appUsed, Limit: 1000}, time.Now())
		if left, known := usage.Left(reserve); left != test.want || !known {
			t.Errorf("with %d of the org's 15000 and %d of the app's 1000 used, %d are left, want %d", test.used, test.appUsed, left, test.want)
		}
	}
}

// A number of requests is one of the org's: of the app's own limit, which may be
// smaller than that, it is the same share.
func TestReserveOfTheAppsLimit(t *testing.T) {
	now := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		reserve  string
		org, app quota.Reading
		want     bool
	}{
		{"2000", quota.Reading{Used: 0, Limit: 20000}, quota.Reading{Used: 1, Limit: 250}, true},
		{"2000", quota.Reading{Used: 0, Limit: 20000}, quota.Reading{Used: 225, Limit: 250}, true},
		{"2000", quota.Reading{Used: 0, Limit: 20000}, quota.Reading{Used: 226, Limit: 250}, false},
		{"2000", quota.Reading{Used: 18001, Limit: 20000}, quota.Reading{Used: 1, Limit: 250}, false},
		{"30000", quota.Reading{Used: 0, Limit: 20000}, quota.Reading{Used: 1, Limit: 250}, false},
		{"20", quota.Reading{}, quota.Reading{Used: 229, Limit: 250}, true}, // nothing known of the org
		{"20", quota.Reading{}, quota.Reading{Used: 231, Limit: 250}, false},
		{"10%", quota.Reading{Used: 0, Limit: 20000}, quota.Reading{Used: 226, Limit: 250}, false},
	} {
		reserve, err := quota.ParseReserve(test.reserve)
		if err != nil {
			t.Fatal(err)
		}
		var usage quota.Usage
		usage.Note(test.org, test.app, now)
		if ok, _ := usage.Allows(reserve, now); ok != test.want {
			t.Errorf("reserve %s of %+v, %+v: Allows = %v", test.reserve, test.org, test.app, ok)
		}
	}
}

func TestUsageSendsOneToAskAgain(t *testing.T) {
	now := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	reserve, _ := quota.ParseReserve("10%")
	var usage quota.Usage
	usage.Note(quota.Reading{Used: 14000, Limit: 15000}, quota.Reading{}, now)
	if ok, wait := usage.Allows(reserve, now.Add(20*time.Second)); ok || wait != 40*time.Second {
		t.Errorf("after 20 s: Allows = %v, %s; want to wait for 40s", ok, wait)
	}
	later := now.Add(quota.AskAgain)
	first, _ := usage.Allows(reserve, later)
	second, wait := usage.Allows(reserve, later)
	if !first || second || wait != quota.AskAgain {
		t.Errorf("after %s: Allows = %v, then %v, %s; want one request to be let through", quota.AskAgain, first, second, wait)
	}
	usage.Note(quota.Reading{Used: 100, Limit: 15000}, quota.Reading{}, later)
	if ok, _ := usage.Allows(reserve, later); !ok {
		t.Error("refused although the answer told of enough")
	}
}

func TestParseReserveRefuses(t *testing.T) {
	for _, text := range []string{"%", "101%", "-1%", "NaN%", "-5", "1.5", "ten", "10 %x"} {
		if r, err := quota.ParseReserve(text); err == nil {
			t.Errorf("ParseReserve(%q) = %v, no error", text, r)
		}
	}
}
