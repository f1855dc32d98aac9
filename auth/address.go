package auth

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// IsSalesforce reports whether host is one of TrustedDomains, Salesforce's own,
// or lies in one.
func IsSalesforce(host string) bool {
	return underAny(strings.TrimSuffix(strings.ToLower(host), "."), TrustedDomains)
}

// PrivateAddressError says that a host of Salesforce's resolved to an address
// that is none of the public internet's.
type PrivateAddressError struct {
	Host    string
	Address netip.Addr
}

func (e *PrivateAddressError) Error() string {
	return fmt.Sprintf("%s resolves to %s, which is no public address", e.Host, e.Address)
}

// CheckAddress returns a [*PrivateAddressError] if host is Salesforce's and
// address, which its name has resolved to, is not public. Whoever answers DNS
// queries could otherwise have requests sent into the network that the proxy is
// in. Other hosts are where the configuration says.
func CheckAddress(host string, address netip.Addr) error {
	if IsSalesforce(host) && !isPublic(address) {
		return &PrivateAddressError{Host: host, Address: address}
	}
	return nil
}

// Address blocks of the IANA special-purpose registries (RFC 6890). What
// [netip.Addr] has a method for is not repeated. Of IPv6, only globalUnicast is
// given to networks.
var (
	notPublic = prefixes(
		"0.0.0.0/8",       // this network
		"100.64.0.0/10",   // carriers, and agents that answer with addresses of their own
		"192.0.0.0/24",    // protocols
		"192.0.2.0/24",    // documentation, as the next two
		"198.51.100.0/24", //
		"203.0.113.0/24",  //
		"198.18.0.0/15",   // benchmarks
		"240.0.0.0/4",     // reserved, and broadcast
		"2001::/23",       // protocols; Teredo, which has an IPv4 address in it
		"2001:db8::/32",   // documentation, as 3fff::/20
		"2002::/16",       // 6to4, which has one too
		"3fff::/20",
	)
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address is its end (RFC 6052)
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// isPublic reports whether a is an address of the public internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case !a.IsValid(), !a.IsGlobalUnicast(), a.IsPrivate():
		return false
	case a.Is6() && !globalUnicast.Contains(a.WithZone("")):
		return false
	}
	return !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}
