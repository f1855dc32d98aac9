package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// site is where peers run.
type site struct {
	dir      string // of this run; has the certificates, and each peer's files
	cache    string // of what was built, kept between runs
	upstream string // its host:port, the host being localhost
	profiles bool   // sfproxy serves its profiles
	build    bool   // peers that are not built yet; else they are left out
	// tokenTTL is how long sfproxy takes a token for good; 0 for its default.
	tokenTTL time.Duration
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// peer is a proxy that puts the token on requests to the upstream, whose
// certificate it verifies and to which it keeps connections.
type peer struct {
	name string
	what string // for the table
	// prepare finds or builds the program, and returns its path and version.
	prepare func(ctx context.Context, s *site) (program, version string, err error)
	// command returns what runs it on an address, and the URL of its
	// metrics, "" for none. It writes the files that the program needs.
	command func(s *site, program, address string) (cmd *exec.Cmd, metrics string, err error)
}

// errAbsent is that a peer is not on this machine and cannot be put there.
var errAbsent = errors.New("left out")

// reference is the peer that ratios are to.
const reference = "bare"

// peers are in the order of the table.
var peers = []*peer{sfproxy, bare, stock, nginx, stockNginx, haproxy, caddy}

// runningPeer is a peer that serves.
type runningPeer struct {
	*peer
	version string
	program string
	address string
	metrics string
	process *process
	pids    []int
}

// startPeer starts a prepared peer on a free port and waits for its first right
// answer to the shape; it returns how long after its start that was.
func startPeer(ctx context.Context, s *site, p *peer, program, version string) (*runningPeer, time.Duration, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, 0, err
	}
	cmd, metrics, err := p.command(s, program, address)
	if err != nil {
		return nil, 0, err
	}
	started := time.Now()
	proc, err := startProcess(s.dir, p.name, cmd)
	if err != nil {
		return nil, 0, err
	}
	r := &runningPeer{peer: p, version: version, program: program, address: address, metrics: metrics, process: proc}
	if err := r.waitForAnswer(ctx); err != nil {
		err = proc.failure(err.Error())
		proc.stop()
		return nil, 0, err
	}
	took := time.Since(started)
	r.pids = family(proc.cmd.Process.Pid)
	return r, took, nil
}

// waitForAnswer asks until the peer answers.
func (r *runningPeer) waitForAnswer(ctx context.Context) error {
	l, err := newLoad(task{Address: r.address, Shape: "record", Authorization: "Bearer " + clientKey})
	if err != nil {
		return err
	}
	w := &worker{load: l}
	defer w.close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := w.exchange(ctx)
		if err == nil {
			return nil
		}
		w.close()
		select {
		case <-r.process.exited:
			return fmt.Errorf("%s has ended", r.name)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", r.name, err)
		default:
			sleepUntil(time.Now().Add(200 * time.Microsecond))
		}
	}
}

// freeAddress returns a loopback address that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// installed finds a program of Debian's, and has apt install it if this is root.
func installed(ctx context.Context, program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	if os.Getuid() != 0 {
		return "", fmt.Errorf("%w: not installed, and only root can", errAbsent)
	}
	if out, err := exec.CommandContext(ctx, "apt-get", "install", "-y", "--no-install-recommends", program).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: apt-get install %s: %w: %s", errAbsent, program, err, lastLine(out))
	}
	return exec.LookPath(program)
}

// built returns the path of a program of a Go module, built once.
func built(ctx context.Context, s *site, name, pkg string) (string, error) {
	version := pkg[strings.LastIndexByte(pkg, '@')+1:]
	dir := filepath.Join(s.cache, name+"-"+version)
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if !s.build {
		return "", fmt.Errorf("%w: not built yet, which a run without -quick does", errAbsent)
	}
	cmd := exec.CommandContext(ctx, "go", "install", pkg)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s: %w: %s", errAbsent, strings.Join(cmd.Args, " "), err, lastLine(out))
	}
	return path, nil
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// plainEnvironment is what peers get of this program's environment: no
// HTTPS_PROXY, no variables of sfproxy's.
func plainEnvironment(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, more...)
}

// get fetches a page of one of the peers.
func get(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// choosePeers returns those named, separated by commas; all for "". The
// reference is always among them.
func choosePeers(names string) ([]*peer, error) {
	if names == "" {
		return peers, nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(peers, func(p *peer) bool { return p.name == name }) {
			return nil, fmt.Errorf("no peer is named %q", name)
		}
	}
	return slices.DeleteFunc(slices.Clone(peers), func(p *peer) bool {
		return p.name != reference && !slices.Contains(wanted, p.name)
	}), nil
}
