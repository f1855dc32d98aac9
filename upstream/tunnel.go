package upstream

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	tunnelTimeout = time.Minute // for a company proxy's answer, as net/http waits
	maxTunnelHead = 64 << 10    // bytes of that answer
)

// tunnels reports whether a company proxy is asked for a tunnel here. Proxies
// that are reached by TLS or are none of HTTP, and requests over plain HTTP, are
// net/http's.
func (t *Transport) tunnels(req *http.Request, proxy *url.URL) bool {
	return req.URL.Scheme == "https" && proxy.Scheme == "http" && plainHost(proxy.Host) && t.base.GetProxyConnectHeader == nil
}

// dialThrough opens a connection to a company proxy and makes it a tunnel to u.
func (t *Transport) dialThrough(ctx context.Context, u, proxy *url.URL) (*conn, error) {
	network, err := t.base.DialContext(ctx, "tcp", addressOf(proxy))
	if err != nil {
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	c := newConn(network, originOf(u, proxy))
	stop := context.AfterFunc(ctx, c.abort)
	defer stop()
	c.wire.SetDeadline(time.Now().Add(tunnelTimeout))
	defer c.wire.SetDeadline(time.Time{})
	return c, c.openTunnel(ctx, t.base, addressOf(u), proxy)
}

// openTunnel asks for a tunnel to address (RFC 9110, section 9.3.6).
func (c *conn) openTunnel(ctx context.Context, base *http.Transport, address string, proxy *url.URL) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	maps.Copy(req.Header, base.ProxyConnectHeader)
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	c.left = maxTunnelHead
	c.acquire()
	err := req.Write(c.wire)
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(c.in, req)
	}
	if err == nil && base.OnProxyConnectResponse != nil {
		if err := base.OnProxyConnectResponse(ctx, proxy, req, resp); err != nil {
			return err
		}
	}
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s answered %d", proxy.Host, resp.StatusCode)
	case c.in.Buffered() > 0:
		err = fmt.Errorf("%s said more than that there is a tunnel", proxy.Host)
	default:
		c.release()
		return nil
	}
	return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: withoutBytes(err)}
}
