package config

import (
	"errors"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// decode returns the Config that the tags make of the environment. A value
// that cannot be decoded is a fault and leaves its field at zero. The decoders
// return no errors of their own, since the first one would end the decoding of
// the clients, and since the library names the field where we name the variable.
func (p *parser) decode() *Config {
	cfg := new(Config)
	err := env.ParseWithOptions(cfg, env.Options{
		Environment: p.env,
		OnSet:       func(name string, _ any, _ bool) { p.decoding = name },
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[Secret]():        func(s string) (any, error) { return p.decodeSecret(s), nil },
			reflect.TypeFor[url.URL]():       func(s string) (any, error) { return p.decodeURL(s), nil },
			reflect.TypeFor[bool]():          func(s string) (any, error) { return p.decodeBool(s), nil },
			reflect.TypeFor[time.Duration](): func(s string) (any, error) { return p.decodeDuration(s), nil },
			reflect.TypeFor[int]():           func(s string) (any, error) { return p.decodeCount(s), nil },
			reflect.TypeFor[int64]():         func(s string) (any, error) { return p.decodeSize(s), nil },
			reflect.TypeFor[[]string]():      func(s string) (any, error) { return p.decodeList(s), nil },
		},
	})
	if err != nil {
		p.translate(err)
	}
	return cfg
}

// translate records the library's errors by the name of the variable, without
// its value.
func (p *parser) translate(err error) {
	list := []error{err}
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		list = all.Errors
	}
	for _, err := range list {
		switch err := err.(type) {
		case env.VarIsNotSetError:
			p.missing(err.Key, "is required")
		case env.ParseError:
			for _, v := range p.list {
				if v.field.Name == err.Name && v.field.Type == err.Type {
					p.fault(v.name, "%s is none of: %s", shown(p.env[v.name]), v.help)
				}
			}
		default:
			p.fault("environment", "cannot be decoded (%T)", err)
		}
	}
}

// decodeSecret returns what was read from the secret's file, if there is one.
func (p *parser) decodeSecret(text string) Secret {
	if content, ok := p.contents[p.decoding]; ok {
		return secretOf(content)
	}
	return NewSecret(text)
}

func (p *parser) decodeBool(text string) bool {
	switch strings.ToLower(text) {
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
	default:
		p.fault(p.decoding, "%s is neither true nor false", shown(text))
	}
	return false
}

func (p *parser) decodeDuration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err == nil {
		return d
	}
	example := p.known[p.decoding].example
	if _, err := strconv.Atoi(text); err == nil {
		example = text + "s"
	}
	p.faultLike(p.decoding, example, "%s is no duration with its unit (h, m or s)", shown(text))
	return 0
}

// maxCount is more than any machine has room for.
const maxCount = 1_000_000_000

func (p *parser) decodeCount(text string) int {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 0:
		p.fault(p.decoding, "%s is no whole number, which may be 0 for no limit", shown(text))
	case n > maxCount:
		p.faultLike(p.decoding, "0", "%s is more than a billion; no limit is 0", shown(text))
	}
	return n
}

// maxReplayBuffer is in bytes.
const maxReplayBuffer = 64 << 20

func (p *parser) decodeSize(text string) int64 {
	n, err := parseSize(text, maxReplayBuffer)
	switch err {
	case nil:
	case errTooLarge:
		p.fault(p.decoding, "%s is more than 64MiB", shown(text))
	default:
		p.fault(p.decoding, "%s %v", shown(text), err)
	}
	return n
}

// decodeList returns the parts between commas, without the empty ones.
func (p *parser) decodeList(text string) []string {
	var list []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	if list == nil {
		p.fault(p.decoding, "holds nothing but commas")
	}
	return list
}
