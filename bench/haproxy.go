package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

var haproxy = &peer{name: "haproxy", what: "HAProxy", prepare: prepareHAProxy, command: haproxyCommand}

func prepareHAProxy(ctx context.Context, _ *site) (program, version string, err error) {
	if program, err = installed(ctx, "haproxy"); err != nil {
		return "", "", err
	}
	out, err := exec.CommandContext(ctx, program, "-v").Output()
	fields := strings.Fields(string(out)) // HAProxy version 2.6.12-1+deb12u4 …
	if err != nil || len(fields) < 3 {
		return "", "", fmt.Errorf("haproxy -v: %w: %.100s", err, out)
	}
	return program, fields[2], nil
}

const haproxyConfig = `global
  maxconn 8192
defaults
  mode http
  timeout connect 10s
  timeout client 120s
  timeout server 660s
  http-reuse always
listen proxy
  bind %[1]s
  http-request set-header Authorization "Bearer %[3]s"
  http-request set-header Host %[2]s
  server org %[2]s ssl verify required ca-file %[4]s sni str(localhost) verifyhost localhost alpn http/1.1 pool-max-conn 512
`

func haproxyCommand(s *site, program, address string) (*exec.Cmd, string, error) {
	text := fmt.Sprintf(haproxyConfig, address, ipv4(s.upstream), accessToken, s.path(caFile))
	config := s.path("haproxy.cfg")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	cmd := exec.Command(program, "-db", "-f", config)
	cmd.Env = plainEnvironment()
	return cmd, "", nil
}
