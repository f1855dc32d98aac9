package auth_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/auth"
)

func TestCheckAddress(t *testing.T) {
	const host = "acme.my.salesforce.com"
	for address, public := range map[string]bool{
		"13.110.54.1": true, "85.222.152.10": true, "99.255.255.255": true, "100.128.0.1": true, "172.15.0.1": true, "172.32.0.1": true,
		"192.167.0.1": true, "223.255.255.255": true, "198.20.0.1": true,
		"2600:1f14::1": true, "2a02:26f0::1": true, "::ffff:13.110.54.1": true, "64:ff9b::13.110.54.1": true,

		"127.0.0.1": false, "127.255.0.9": false, "0.0.0.0": false, "0.1.2.3": false,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"169.254.169.254": false, "169.254.0.1": false, "100.64.0.1": false, "100.127.255.255": false,
		"192.0.0.170": false, "192.0.2.1": false, "198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false,
		"224.0.0.1": false, "239.255.255.250": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::127.0.0.1": false, "::13.110.54.1": false, "100::1": false,
		"fc00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "ff02::1": false,
		"2001::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "3fff::1": false, "4000::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:100.64.0.1": false, "::ffff:0.0.0.0": false,
		"64:ff9b::127.0.0.1": false, "64:ff9b::10.0.0.1": false, "64:ff9b::169.254.169.254": false, "64:ff9b::100.64.0.1": false,
		"64:ff9b::224.0.0.1": false, "64:ff9b::": false, "64:ff9b:1::13.110.54.1": false,
	} {
		ip := netip.MustParseAddr(address)
		err := auth.CheckAddress(host, ip)
		if (err == nil) != public {
			t.Errorf("CheckAddress(%s) = %v, want it public: %t", address, err, public)
		}
		if private, ok := errors.AsType[*auth.PrivateAddressError](err); err != nil && (!ok || private.Host != host || !strings.Contains(err.Error(), host+" resolves to "+ip.String())) {
			t.Errorf("CheckAddress(%s) = %v, want a PrivateAddressError with host and address", address, err)
		}
	}
	if err := auth.CheckAddress(host, netip.Addr{}); err == nil {
		t.Error("CheckAddress of no address = nil, want an error")
	}
}

func TestIsSalesforce(t *testing.T) {
	for host, want := range map[string]bool{
		"login.salesforce.com": true, "salesforce.com": true, "ACME.My.Salesforce.COM": true, "acme.my.salesforce.com.": true,
		"acme.my.site.com": true, "acme.force.com": true, "acme.my.salesforce.mil": true, "acme.my.sfcrmproducts.cn": true,
		"": false, "site.com": false, "acme.site.com": false, "notsalesforce.com": false, "salesforce.com.evil.example": false,
		"devorg": false, "localhost": false, "crm.example.com": false, "127.0.0.1": false, "::1%.salesforce.com": false,
	} {
		if got := auth.IsSalesforce(host); got != want {
			t.Errorf("IsSalesforce(%q) = %t, want %t", host, got, want)
		}
		// Of a host that is not Salesforce's, any address will do.
		if err := auth.CheckAddress(host, netip.MustParseAddr("10.0.0.1")); (err != nil) != want {
			t.Errorf("CheckAddress(%q, 10.0.0.1) = %v, want an error: %t", host, err, want)
		}
	}
}
