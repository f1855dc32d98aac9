package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// nginx is set up as well as its options allow; stockNginx has what most
// set-ups have: keep-alive, and the default buffers, through files where they
// are full.
var (
	nginx      = &peer{name: "nginx", what: "nginx, tuned", prepare: prepareNginx, command: nginxCommand("nginx", nginxStreaming)}
	stockNginx = &peer{name: "nginx-stock", what: "nginx, default buffers", prepare: prepareNginx, command: nginxCommand("nginx-stock", "")}
)

func prepareNginx(ctx context.Context, _ *site) (program, version string, err error) {
	if program, err = installed(ctx, "nginx"); err != nil {
		return "", "", err
	}
	out, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	return program, strings.TrimPrefix(lastLine(out), "nginx version: nginx/"), err
}

// nginxStreaming has bodies stream as the others' do: those of requests are not
// kept first, and those of answers go through memory alone.
const nginxStreaming = `proxy_request_buffering off;
      proxy_buffer_size 16k;
      proxy_buffers 16 16k;
      proxy_max_temp_file_size 0;`

// nginxConfig asks for keep-alive to both sides.
const nginxConfig = `daemon off;
worker_processes auto;
user root;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream org {
    server %[2]s;
    keepalive 512;
    keepalive_requests 1000000000;
  }
  server {
    listen %[1]s;
    location / {
      proxy_pass https://org;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host %[2]s;
      proxy_set_header Authorization "Bearer %[3]s";
      %[5]s
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate %[4]s;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.2 TLSv1.3;
    }
  }
}
`

// nginxCommand returns the command of a peer of that name, with further
// directives for its location.
func nginxCommand(name, directives string) func(s *site, program, address string) (*exec.Cmd, string, error) {
	return func(s *site, program, address string) (*exec.Cmd, string, error) {
		dir, config := s.path(name), s.path(name+".conf")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, "", err
		}
		text := fmt.Sprintf(nginxConfig, address, ipv4(s.upstream), accessToken, s.path(caFile), directives)
		if os.Getuid() != 0 {
			text = strings.Replace(text, "user root;\n", "", 1)
		}
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return nil, "", err
		}
		cmd := exec.Command(program, "-p", dir, "-c", config)
		cmd.Env = plainEnvironment()
		return cmd, "", nil
	}
}

// ipv4 returns an address on localhost as one of the IPv4 loopback, for peers
// that would try the IPv6 one as well.
func ipv4(address string) string { return strings.Replace(address, "localhost", "127.0.0.1", 1) }
