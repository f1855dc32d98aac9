package config

import "slices"

// reservedFiles are the open files beside clients' connections and their
// requests': listeners, files that are read, the admin port, grants, and clients
// that are being turned away.
const reservedFiles = 128

// WithinOpenFiles returns c with its limits lowered to the open files that the
// system allows the process, c itself if they are low enough: each connection
// is one, and each request may need another one to Salesforce. openFiles is 0
// where it is not known. c stays as it is.
func (c *Config) WithinOpenFiles(openFiles int) *Config {
	if openFiles == 0 {
		return c
	}
	given := c.Proxy
	connections, requests := shareFiles(max(openFiles-reservedFiles, 2), given.MaxConnections, given.MaxRequests)
	if connections == given.MaxConnections && requests == given.MaxRequests {
		return c
	}
	lowered := *c
	lowered.Proxy.MaxConnections, lowered.Proxy.MaxRequests = connections, requests
	lowered.Proxy.MaxConnectionsPerAddress = lowerShare(given.MaxConnectionsPerAddress, given.MaxConnections, connections)
	lowered.Proxy.MaxRequestsPerClient = lowerShare(given.MaxRequestsPerClient, given.MaxRequests, requests)
	lowered.Clients = slices.Clone(c.Clients)
	for i := range lowered.Clients {
		client := &lowered.Clients[i]
		client.MaxRequests = lowerShare(client.MaxRequests, given.MaxRequests, requests)
	}
	return &lowered
}

// lowerShare lowers what one may have of a limit as the limit is lowered, so that
// it leaves to others what it did; a share that leaves half stays. 0 is no limit.
func lowerShare(share, limit, lowered int) int {
	if limit == lowered {
		return share
	}
	return min(share, max((lowered+1)/2, int(int64(share)*int64(lowered)/int64(limit))))
}

// shareFiles lowers two limits until their sum is no more than files. The one
// that asks for no more than half gets it. 0, no limit, is left alone: it says
// that the files are looked after elsewhere.
func shareFiles(files, connections, requests int) (int, int) {
	half := files / 2
	switch {
	case connections == 0 || requests == 0:
		return min(connections, half), min(requests, half)
	case connections+requests <= files:
	case requests <= half:
		connections = files - requests
	case connections <= half:
		requests = files - connections
	default:
		connections, requests = half, half
	}
	return connections, requests
}
