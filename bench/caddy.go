package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

var caddy = &peer{name: "caddy", what: "Caddy", prepare: prepareCaddy, command: caddyCommand}

func prepareCaddy(ctx context.Context, s *site) (program, version string, err error) {
	const pkg = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.4"
	program, err = built(ctx, s, "caddy", pkg)
	return program, pkg[strings.LastIndexByte(pkg, 'v')+1:], err
}

const caddyConfig = `{
  admin %[1]s
  auto_https off
  persist_config off
}
http://%[2]s {
  reverse_proxy https://%[3]s {
    header_up Authorization "Bearer %[4]s"
    header_up Host {upstream_hostport}
    transport http {
      tls_trust_pool file %[5]s
      tls_server_name localhost
      keepalive_idle_conns_per_host 512
      versions 1.1
      compression off
    }
  }
}
`

func caddyCommand(s *site, program, address string) (*exec.Cmd, string, error) {
	admin, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	text := fmt.Sprintf(caddyConfig, admin, address, s.upstream, accessToken, s.path(caFile))
	config := s.path("Caddyfile")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	cmd := exec.Command(program, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = plainEnvironment("XDG_DATA_HOME="+s.path("caddy"), "XDG_CONFIG_HOME="+s.path("caddy"))
	return cmd, "http://" + admin + "/metrics", nil
}
