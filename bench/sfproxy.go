package main

import (
	"context"
	"fmt"
	"os/exec"
)

// clientKey is the API key of the load. Other proxies replace it all the same.
const clientKey = "bench-0123456789abcdef0123456789abcdef"

// sfproxy is the program at the root of this module with everything on that is
// on by default: a client's API key, the guard, metrics, logs at info.
var (
	sfproxy      = &peer{name: "sfproxy", what: "sfproxy", prepare: buildSfproxy, command: sfproxyCommand}
	sfproxyHTTP2 = &peer{name: "sfproxy-h2", what: "sfproxy, HTTP/2 upstream", prepare: buildSfproxy, command: sfproxyWithHTTP2}
)

// buildSfproxy builds it with the flags of the Dockerfile.
func buildSfproxy(ctx context.Context, s *site) (program, version string, err error) {
	program = s.path("sfproxy")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "github.com/sfproxy/sfproxy")
	if out, err := build.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("building sfproxy: %w: %s", err, out)
	}
	return program, revision(ctx), nil
}

// revision names the commit that is checked out, "" where there is none.
func revision(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return ""
	}
	return lastLine(out)
}

func sfproxyWithHTTP2(s *site, program, address string) (*exec.Cmd, string, error) {
	cmd, metrics, err := sfproxyCommand(s, program, address)
	if err == nil {
		cmd.Env = append(cmd.Env, "SF_HTTP2=true")
	}
	return cmd, metrics, err
}

func sfproxyCommand(s *site, program, address string) (*exec.Cmd, string, error) {
	admin, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(program, "serve")
	cmd.Env = plainEnvironment(
		"SF_LOGIN_URL=https://"+s.upstream,
		"SF_CLIENT_ID=bench",
		"SF_USERNAME=bench@example.com",
		"SF_JWT_KEY_FILE="+s.path(jwtKeyFile),
		"SF_CA_FILE="+s.path(caFile),
		"PROXY_LISTEN="+address,
		"PROXY_ADMIN_LISTEN="+admin,
		"PROXY_CLIENT_0_NAME=bench",
		"PROXY_CLIENT_0_API_KEY="+clientKey,
	)
	if s.tokenTTL > 0 {
		cmd.Env = append(cmd.Env, "SF_TOKEN_TTL="+s.tokenTTL.String())
	}
	if s.profiles {
		cmd.Env = append(cmd.Env, "PROXY_PPROF=true")
	}
	return cmd, "http://" + admin + "/metrics", nil
}
