package integration_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sfproxy/sfproxy/devorg"
)

// auditLine is a line of an audit log.
type auditLine map[string]any

func (l auditLine) has(want auditLine) bool {
	for name, value := range want {
		if !reflect.DeepEqual(l[name], value) {
			return false
		}
	}
	return true
}

var auditTime = regexp.MustCompile(`^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","schema":1,"event":"[a-z_]+","outcome":"(ok|refused|failed)"`)

// readAudit returns the lines of an audit file, which has to consist of whole
// ones. They count as an output of the process.
func readAudit(t *testing.T, path string) []auditLine {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	transcripts.add(text)
	var list []auditLine
	for line := range strings.Lines(string(text)) {
		if !auditTime.MatchString(line) || !strings.HasSuffix(line, "}\n") {
			t.Errorf("the audit file has the line %q, want one of schema 1", line)
		}
		list = append(list, decode[auditLine](t, []byte(line)))
	}
	return list
}

// waitAudit waits until an audit file has a line with these fields.
func waitAudit(t *testing.T, path string, want auditLine) auditLine {
	t.Helper()
	var found auditLine
	eventually(t, fmt.Sprintf("the audit file has a line with %v", want), func() bool {
		list := readAudit(t, path)
		i := slices.IndexFunc(list, func(l auditLine) bool { return l.has(want) })
		if i >= 0 {
			found = list[i]
		}
		return i >= 0
	})
	return found
}

// A client that logs in, as docs/audit.md has it.
const (
	auditUsername = "etl@proxy.local"
	auditPassword = passphrase + "-of-etl"
)

// startAudited runs a proxy with two clients and an audit file.
func startAudited(t *testing.T, env ...string) (r *rotated, file string) {
	t.Helper()
	r = &rotated{org: startOrg(t, devorg.Config{}), dir: t.TempDir()}
	r.replace(t, "server.key", keyPEM(t, testKey()))
	r.replace(t, "billing.key", []byte(newAPIKey()))
	r.start(t, append([]string{"SF_JWT_KEY_FILE=DIR/server.key", "LOG_AUDIT_FILE=DIR/audit.log",
		"PROXY_CLIENT_0_NAME=billing", "PROXY_CLIENT_0_API_KEY_FILE=DIR/billing.key", "PROXY_CLIENT_0_READ_ONLY=true", "PROXY_CLIENT_0_READ_OBJECTS=Account",
		"PROXY_CLIENT_1_NAME=etl", "PROXY_CLIENT_1_USERNAME=" + auditUsername, "PROXY_CLIENT_1_PASSWORD=" + auditPassword}, env...)...)
	return r, filepath.Join(r.dir, "audit.log")
}

// TestAuditLog has everything happen that has a line in the audit log, and
// compares the lines with the examples in docs/audit.md.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	r, file := startAudited(t)
	waitAudit(t, file, auditLine{"event": "grant", "outcome": "ok", "subject": subject})
	r.auditLogins(t, file)
	r.auditDenials(t, file)
	r.auditKeys(t, file)
	r.auditClients(t, file)
	if status := r.stop(t); status != 0 {
		t.Errorf("exit status = %d, want 0", status)
	}
	lines := readAudit(t, file)
	if last := lines[len(lines)-1]; !last.has(auditLine{"event": "stop", "outcome": "ok"}) {
		t.Errorf("the last line is %v, want the stop", last)
	}
	compareExamples(t, lines)
}

func (r *rotated) auditLogins(t *testing.T, file string) {
	t.Helper()
	soap := r.URL + "/services/Soap/u/60.0"
	good, err := soapLogin(t.Context(), r.URL, auditUsername, auditPassword)
	if err != nil {
		t.Fatal(err)
	}
	waitAudit(t, file, auditLine{"event": "login", "outcome": "ok", "how": "soap", "client": "etl", "subject": subject, "address": "127.0.0.1", "username": auditUsername})

	const id = "a-login-of-the-test"
	a := fetch(t, http.MethodPost, soap, string(loginEnvelope(auditUsername, auditPassword+"x")), "Content-Type: text/xml", "SOAPAction: \"\"", "X-Request-Id: "+id)
	if a.status != http.StatusInternalServerError {
		t.Errorf("login with a wrong password = %d %s, want 500", a.status, a.body)
	}
	refused := waitAudit(t, file, auditLine{"event": "login", "outcome": "refused", "how": "soap", "username": auditUsername, "request_id": id})
	if refused["client"] != nil {
		t.Errorf("a refused login has the client %v, want none: it has not proved to be it", refused["client"])
	}
	grant := func(grantType string, form url.Values) {
		form.Set("grant_type", grantType)
		postText(t.Context(), r.URL+"/services/oauth2/token", "application/x-www-form-urlencoded", "", []byte(form.Encode()))
	}
	// A person types the password into the wrong field.
	grant("password", url.Values{"username": {auditPassword}, "password": {auditPassword}})
	waitAudit(t, file, auditLine{"event": "login", "outcome": "refused", "how": "password", "username": "(unknown)"})
	grant("password", url.Values{"username": {auditUsername}, "password": {auditPassword}})
	waitAudit(t, file, auditLine{"event": "login", "outcome": "ok", "how": "password", "client": "etl"})
	grant("client_credentials", url.Values{"client_id": {"billing"}, "client_secret": {r.apiKey(t)}})
	waitAudit(t, file, auditLine{"event": "login", "outcome": "ok", "how": "client_credentials", "client": "billing", "username": "billing"})

	if status, answer, err := postText(t.Context(), soap, "text/xml", "", sampleEnvelope(good.id, "<ns1:logout/>")); err != nil || status != http.StatusOK {
		t.Errorf("logout = %d %s (%v)", status, answer, err)
	}
	waitAudit(t, file, auditLine{"event": "logout", "outcome": "ok", "client": "etl", "how": "soap"})
	get(t, r.URL+"/services/data/v60.0/limits", "Authorization: Bearer "+good.id)
	waitAudit(t, file, auditLine{"event": "denial", "rule": "session", "code": "INVALID_SESSION_ID"})
	if got := r.metric(t, `sfproxy_denials_total{client="",rule="login"}`); got != "2" {
		t.Errorf("%s refused logins are counted, want 2", got)
	}
}

// apiKey returns the API key of the client billing.
func (r *rotated) apiKey(t *testing.T) string {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(r.dir, "billing.key"))
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

func (r *rotated) auditDenials(t *testing.T, file string) {
	t.Helper()
	const query = "?q=" + queryValue
	key := "X-Api-Key: " + r.apiKey(t)
	for _, tt := range []struct{ method, path, header, rule, client string }{
		{"DELETE", "/services/data/v60.0/sobjects/Account/0015g0000000002AAA", key, "read_only", "billing"},
		{"GET", "/secur/frontdoor.jsp", key, "path_never_allowed", "billing"},
		{"GET", "/services/data/v60.0/limits", "X-Api-Key: " + newAPIKey(), "unauthorized", ""},
		{"GET", "/services/data/v60.0/limits", "Sec-Fetch-Site: cross-site", "cross_site", ""},
	} {
		before := r.metric(t, fmt.Sprintf("sfproxy_denials_total{client=%q,rule=%q}", tt.client, tt.rule))
		a := fetch(t, tt.method, r.URL+tt.path+query, "", tt.header)
		want := auditLine{"event": "denial", "outcome": "refused", "rule": tt.rule, "method": tt.method, "path": tt.path, "address": "127.0.0.1",
			"code": a.header.Get("X-SFProxy-Error"), "request_id": a.header.Get("X-Request-Id")}
		if tt.client != "" {
			want["client"], want["subject"] = tt.client, subject
		}
		line := waitAudit(t, file, want)
		if tt.client == "" && line["client"] != nil {
			t.Errorf("%s by %s: the line names the client %v, want none", tt.path, tt.header, line["client"])
		}
		if after := r.metric(t, fmt.Sprintf("sfproxy_denials_total{client=%q,rule=%q}", tt.client, tt.rule)); after == before {
			t.Errorf("%s by %s is not counted as %s", tt.path, tt.header, tt.rule)
		}
	}
	if a := get(t, r.URL+"/services/data/v60.0/limits", key); a.status != http.StatusOK {
		t.Errorf("answer = %d %s, want 200", a.status, a.body)
	}
}

// auditKeys replaces the private key before the org knows its certificate.
func (r *rotated) auditKeys(t *testing.T, file string) {
	t.Helper()
	key := newKey(2048)
	r.replace(t, "server.key", keyPEM(t, key))
	r.signal(t, syscall.SIGHUP)
	configured := waitAudit(t, file, auditLine{"event": "key_change", "outcome": "ok", "scope": "org", "change": "configured"})
	fingerprint := configured["key"]
	waitAudit(t, file, auditLine{"event": "key_change", "outcome": "refused", "change": "refused", "key": fingerprint})
	r.org.RotateKey(&key.PublicKey)
	r.signal(t, syscall.SIGHUP)
	waitAudit(t, file, auditLine{"event": "key_change", "outcome": "ok", "change": "in_use", "key": fingerprint})
	r.Log.waitFor(t, fmt.Sprintf(`"msg":"the new key is in use","key":"%s"`, fingerprint))
}

// auditClients replaces an API key, by another and then by nothing.
func (r *rotated) auditClients(t *testing.T, file string) {
	t.Helper()
	r.replace(t, "billing.key", []byte(newAPIKey()))
	r.signal(t, syscall.SIGHUP)
	waitAudit(t, file, auditLine{"event": "policy_change", "outcome": "ok", "client": "billing", "change": "changed", "changed": []any{"API_KEY"}})
	r.replace(t, "billing.key", nil)
	r.signal(t, syscall.SIGHUP)
	waitAudit(t, file, auditLine{"event": "reload", "outcome": "refused"})
	for _, l := range readAudit(t, file) {
		if l["event"] == "policy_change" && l["client"] != "billing" {
			t.Errorf("the line %v is about a client that has not changed", l)
		}
	}
}

var (
	auditExamples = regexp.MustCompile("(?s)```json\n(.*?)```")
	quotedPath    = regexp.MustCompile(`"/[^"]*"`)
)

// compareExamples looks for each example of docs/audit.md among real lines.
func compareExamples(t *testing.T, lines []auditLine) {
	t.Helper()
	page, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[any]bool{}
	for _, l := range lines {
		seen[l["event"]] = false
	}
	for text := range strings.Lines(auditExamples.FindStringSubmatch(string(page))[1]) {
		example := decode[auditLine](t, []byte(text))
		seen[example["event"]] = true
		if !slices.ContainsFunc(lines, example.resembles) {
			t.Errorf("docs/audit.md has the example\n%s, and no line of the proxy is like it:\n%v", text, lines)
		}
	}
	for event, shown := range seen {
		if !shown {
			t.Errorf("docs/audit.md has no example of %v", event)
		}
	}
}

// resembles reports whether a real line has the fields of an example, with the
// same values but where they are others each time, and the same settings, of
// which limits follow the files that the machine lets a process open.
func (l auditLine) resembles(real auditLine) bool {
	another := []string{"time", "request_id", "key", "instance", "login_url", "listen", "version"}
	for name, value := range l {
		switch given := real[name].(type) {
		case nil:
			return false
		case map[string]any:
			settings := value.(map[string]any)
			if !slices.Equal(slices.Sorted(maps.Keys(settings)), slices.Sorted(maps.Keys(given))) {
				return false
			}
			for variable, set := range settings {
				if !strings.HasSuffix(variable, "_LISTEN") && !strings.Contains(variable, "MAX_") && !reflect.DeepEqual(given[variable], set) {
					return false
				}
			}
		case string:
			text, ok := value.(string)
			if !slices.Contains(another, name) && (!ok || quotedPath.ReplaceAllString(text, "") != quotedPath.ReplaceAllString(given, "")) {
				return false
			}
		default:
			if !reflect.DeepEqual(given, value) {
				return false
			}
		}
	}
	return len(l) == len(real)
}

// TestAuditInTheLog has no audit file and a log that is otherwise silent.
func TestAuditInTheLog(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	p := start(t, with(org.env, "PROXY_LISTEN=127.0.0.1:0", "PROXY_ADMIN_LISTEN=off", "LOG_FORMAT=json", "LOG_LEVEL=error"))
	p.URL = "http://" + p.Log.waitFor(t, `"level":"INFO","msg":"audit","schema":1,"event":"start",.*"listen":"([^"]+)"`)[1]
	a := fetchAs(t, http.MethodGet, p.URL+echoPath+"?q="+queryValue, "rebound.example", "")
	p.Log.waitFor(t, `"event":"denial","outcome":"refused","address":"127.0.0.1","request_id":"`+a.header.Get("X-Request-Id")+`","method":"GET","path":"`+echoPath+`","rule":"wrong_host"`)
	p.stop(t)
	p.Log.waitFor(t, `"event":"stop","outcome":"ok"`)
	for line := range strings.Lines(p.Log.String()) {
		if !strings.Contains(line, `"msg":"audit"`) {
			t.Errorf("the log has %s, want nothing but audit lines", line)
		}
	}
}

// TestAuditFileCannotBeOpened names an audit file where none can be.
func TestAuditFileCannotBeOpened(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none", "audit.log"), "/dev/null"} {
		got := run(t, with(org.env, "PROXY_LISTEN=127.0.0.1:0", "LOG_AUDIT_FILE="+path))
		if got.status != 2 || !strings.Contains(got.stderr, "sfproxy: LOG_AUDIT_FILE: open "+path) || !strings.Contains(got.stderr, "name a file in a directory that this user may write to") {
			t.Errorf("%s: exit status = %d, stderr = %s, want 2 and what to do", path, got.status, got.stderr)
		}
	}
}

// TestDoctorChecksTheAuditFile has the doctor say what the proxy would, and leave
// nothing behind where all is well.
func TestDoctorChecksTheAuditFile(t *testing.T) {
	t.Parallel()
	org := startOrg(t, devorg.Config{})
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none", "audit.log")} {
		got := run(t, with(org.env, "LOG_AUDIT_FILE="+path), "doctor")
		if got.status != 2 || !strings.Contains(got.stdout, "✗ configuration") || !strings.Contains(got.stdout, "LOG_AUDIT_FILE: open "+path) {
			t.Errorf("%s: exit status = %d, stdout = %s, want 2 and the fault", path, got.status, got.stdout)
		}
	}
	got := run(t, with(org.env, "LOG_AUDIT_FILE="+filepath.Join(dir, "audit.log")), "doctor")
	if !strings.Contains(got.stdout, "✓ configuration") {
		t.Errorf("stdout = %s, want a configuration without a fault", got.stdout)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the doctor has left %v (%v), want nothing", left, err)
	}
}

// TestAuditFileRotation rotates the file as logrotate does, both ways, while
// clients are refused: no line is lost by a rename, and none is torn.
func TestAuditFileRotation(t *testing.T) {
	t.Parallel()
	r, file := startAudited(t)
	deny := func(n int) {
		for range n {
			get(t, r.URL+"/services/data/v60.0/limits")
		}
	}
	const each, renames = 20, 3
	for i := range renames {
		deny(each)
		if err := os.Rename(file, fmt.Sprintf("%s.%d", file, i)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			r.signal(t, syscall.SIGHUP)
			eventually(t, "there is a new file", func() bool { _, err := os.Stat(file); return err == nil })
		}
	}
	deny(each)
	count := func(path string) (n int) {
		for _, l := range readAudit(t, path) {
			if l["event"] == "denial" {
				n++
			}
		}
		return n
	}
	for i := range renames {
		if got := count(fmt.Sprintf("%s.%d", file, i)); got != each {
			t.Errorf("rotated file %d has %d denials, want %d", i, got, each)
		}
	}
	if got := count(file); got != each {
		t.Errorf("the file has %d denials, want %d", got, each)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new file's mode is %v (%v), want 0600", info.Mode(), err)
	}
	if err := os.Truncate(file, 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	deny(each)
	if got := count(file); got != each {
		t.Errorf("the file has %d denials after it was cut to nothing, want %d", got, each)
	}
}

// auditPage returns the lines of docs/audit.md that are indented by at least four
// spaces, without them, from one that begins with a text to the next that is not.
func auditPage(t *testing.T, begin string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "\n    "+begin)
	if !found {
		t.Fatalf("docs/audit.md has no %q", begin)
	}
	block, _, _ := strings.Cut("    "+begin+rest, "\n\n")
	return strings.ReplaceAll(block, "\n    ", "\n")[4:] + "\n"
}

// TestAuditPage runs what docs/audit.md has for logrotate and for jq.
func TestAuditPage(t *testing.T) {
	t.Parallel()
	need(t, "logrotate", "jq", "sh")
	r, file := startAudited(t)
	deny := func() {
		t.Helper()
		a := get(t, r.URL+"/services/data/v60.0/limits")
		waitAudit(t, file, auditLine{"event": "denial", "request_id": a.header.Get("X-Request-Id")})
	}
	deny()
	settings := strings.ReplaceAll(auditPage(t, "/var/log/sfproxy/audit.log {"), "/var/log/sfproxy/audit.log", file)
	rotate := func() {
		t.Helper()
		mustCommand(t, "logrotate", "--force", "--state", filepath.Join(r.dir, "state"), writeFile(t, "audit", []byte(settings)))
	}
	rotate()
	deny()
	rotate()
	deny()
	for _, old := range []string{file + ".1", file} {
		if list := readAudit(t, old); len(list) != 1 || list[0]["event"] != "denial" {
			t.Errorf("%s has %v, want one denial", filepath.Base(old), list)
		}
	}
	if names, _ := filepath.Glob(file + ".2.gz"); names == nil {
		t.Error("the oldest file is not compressed, want it as docs/audit.md has it")
	}

	fetch(t, http.MethodDelete, r.URL+"/services/data/v60.0/sobjects/Account/0015g0000000002AAA", "", "X-Api-Key: "+r.apiKey(t))
	if _, err := soapLogin(t.Context(), r.URL, "nobody@proxy.local", auditPassword+"x"); err == nil {
		t.Error("nobody can log in")
	}
	got := mustCommand(t, "sh", "-ec", strings.ReplaceAll(auditPage(t, "jq "), "audit.log", file))
	if want := "1 - unauthorized\n1 billing read_only\n      1 127.0.0.1\n"; got != want {
		t.Errorf("jq says\n%s, want\n%s", got, want)
	}
}

// TestAuditFileOnFullDisk fills the disk under the audit file.
func TestAuditFileOnFullDisk(t *testing.T) {
	t.Parallel()
	need(t, "mount", "umount")
	disk := t.TempDir()
	if out, err := command(t, nil, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk); err != nil {
		skip(t, "no disk can be mounted here: "+cmp.Or(strings.TrimSpace(out), err.Error()))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	file, ballast := filepath.Join(disk, "audit.log"), filepath.Join(disk, "ballast")
	r, _ := startAudited(t, "LOG_AUDIT_FILE="+file)
	fill(t, ballast)

	refused := 0
	const lost = "sfproxy_audit_lines_lost_total"
	for r.metric(t, lost) == "0" || refused < 100 {
		if a := get(t, r.URL+"/services/data/v60.0/limits"); a.status != http.StatusUnauthorized {
			t.Fatalf("answer on a full disk = %d %s, want 401 as ever", a.status, a.body)
		}
		refused++
	}
	r.Log.waitFor(t, `"level":"WARN","msg":"audit lines cannot be written and are lost".*no space left on device`)
	readAudit(t, file) // consists of whole lines
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	a := get(t, r.URL+"/services/data/v60.0/limits")
	waitAudit(t, file, auditLine{"event": "denial", "request_id": a.header.Get("X-Request-Id")})
	r.Log.waitFor(t, `"msg":"audit lines are written again".*"lost":`+r.metric(t, lost)+`[,}]`)
	if n := strings.Count(r.Log.String(), "are lost"); n != 1 {
		t.Errorf("the log warns %d times, want once a minute", n)
	}
	t.Logf("%d refusals, %s lines lost", refused, r.metric(t, lost))
}

// fill writes a file that takes all that is left of a disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
}
