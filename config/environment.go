package config

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11" // struct tags, defaults and numbered structs
)

// parser is one run of [Parse].
type parser struct {
	env      map[string]string   // what is set and not empty
	contents map[string][]byte   // of the files of secrets, by the name without _FILE
	known    map[string]variable // the variables there are, clients' by number
	list     []variable          // the same, in order
	numbers  []int               // the clients' numbers, ascending
	misspelt map[string]string   // known name → unknown one that is set
	decoding string              // the variable that decode is at
	faults   []Fault
	warnings []string
	files    []string // that were read for what may change
	lost     bool     // a client is there, but not to be found by its number
}

var clientName = regexp.MustCompile(`^PROXY_CLIENT_(0|[1-9][0-9]{0,3})_.`)

func newParser(environ []string) *parser {
	p := &parser{env: env.ToMap(environ), contents: map[string][]byte{}, known: map[string]variable{}, misspelt: map[string]string{}}
	p.numberClients()
	maps.DeleteFunc(p.env, func(_, value string) bool { return strings.TrimSpace(value) == "" })
	p.list = numbered(variables(), p.numbers)
	for _, v := range p.list {
		p.known[v.name] = v
		if v.isSecret() {
			p.known[v.name+"_FILE"] = variable{name: v.name + "_FILE", example: "/run/secrets/" + strings.ToLower(v.name)}
		} else if value, ok := p.env[v.name]; ok {
			p.env[v.name] = strings.TrimSpace(value)
		}
	}
	return p
}

// numberClients finds the clients' numbers, and warns if the variables of
// clients are there but all of them are empty.
func (p *parser) numberClients() {
	empty := ""
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		m := clientName.FindStringSubmatch(name)
		switch {
		case m == nil:
		case strings.TrimSpace(p.env[name]) == "":
			empty = name
		default:
			n, _ := strconv.Atoi(m[1])
			p.numbers = append(p.numbers, n)
		}
	}
	slices.Sort(p.numbers)
	p.numbers = slices.Compact(p.numbers)
	if len(p.numbers) == 0 && empty != "" {
		p.warn("%s is set but empty, so that there is no client, and the proxy asks nobody for a credential", empty)
	}
}

// findUnknown warns of variables that look like ours and are not. What looks
// like a part of a client is a fault: a client lost to a slip of the pen could
// leave the proxy open.
func (p *parser) findUnknown() {
	candidates := slices.Sorted(maps.Keys(p.known))
	if len(p.numbers) == 0 {
		for _, v := range numbered(variables(), []int{0})[len(p.list):] {
			candidates = append(candidates, v.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		if _, ok := p.known[name]; ok || !isOurs(name, candidates) {
			continue
		}
		if isUnnumbered(name) {
			p.lost = true
			p.faultLike(name, "PROXY_CLIENT_0_NAME", "is no client's variable: the name needs the client's number, which counts from 0")
			continue
		}
		meant := nearest(name, candidates)
		if meant == "" {
			p.warn("%s is not a variable of sfproxy", name)
			continue
		}
		p.warn("%s is not a variable of sfproxy: did you mean %s?", name, meant)
		p.misspelt[meant] = name
	}
}

// isUnnumbered reports whether name is that of a client's variable but for the
// number, such as PROXY_CLIENT_NAME or PROXY_CLIENT_01_API_KEY.
func isUnnumbered(name string) bool {
	rest, ok := strings.CutPrefix(name, "PROXY_CLIENT_")
	return ok && !clientName.MatchString(name) && slices.ContainsFunc(variables(), func(v variable) bool {
		own, ok := strings.CutPrefix(v.name, "PROXY_CLIENT_"+number+"_")
		rest := strings.TrimSuffix(rest, "_FILE")
		return ok && (rest == own || strings.HasSuffix(rest, "_"+own))
	})
}

// unquote refuses values in quotes, which a shell would have taken off, but
// docker --env-file does not. A secret may well be in quotes.
func (p *parser) unquote() {
	for _, name := range slices.Sorted(maps.Keys(p.known)) {
		value, n := p.env[name], len(p.env[name])
		if !p.known[name].isSecret() && n >= 2 && strings.ContainsRune("\"'", rune(value[0])) && value[n-1] == value[0] {
			p.fault(name, "has quotes around the value that count as a part of it: leave them out")
			p.env[name] = value[1 : n-1] // so that nothing else is found wrong with it
		}
	}
}

// missing records that a required variable is not set.
func (p *parser) missing(variable, format string, args ...any) {
	if name, ok := p.misspelt[variable]; ok {
		format += "; is " + name + " a misspelling of it?"
	}
	p.fault(variable, format, args...)
}

// readSecrets reads each secret that is in a file.
func (p *parser) readSecrets() {
	for _, v := range p.list {
		path, ok := p.env[v.name+"_FILE"]
		if !v.isSecret() || !ok {
			continue
		}
		path = strings.TrimSpace(path)
		p.env[v.name+"_FILE"] = path
		if _, both := p.env[v.name]; both {
			p.faultLike(v.name, "", "is set, and so is %s_FILE: set one of them", v.name)
			continue
		}
		if v.name == keyVariable && isKeyText(path) {
			p.fault(v.name+"_FILE", "holds the text of a key, not a path: set %s to it instead", v.name)
			continue
		}
		content := p.readFile(v.name+"_FILE", path)
		if v.name == keyVariable {
			p.checkMode(v.name+"_FILE", path)
		} else {
			content = trimNewline(content)
		}
		if len(content) == 0 {
			p.fault(v.name+"_FILE", "%s is empty", shownPath(path))
			continue
		}
		// The text stays what it is, to be wiped one day: no string could be.
		p.contents[v.name], p.env[v.name] = content, "in a file"
	}
}

// trimNewline takes one newline off the end, since editors put one there.
func trimNewline(content []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
}
