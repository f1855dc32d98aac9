package main

import (
	"log/slog"

	"github.com/sfproxy/sfproxy/config"
)

// reservedFiles are the open files beside clients' connections and their
// requests': listeners, files that are read, the admin port, grants, and clients
// that are being turned away.
const reservedFiles = 128

// withinOpenFiles returns cfg with its limits lowered to the open files that the
// system allows: each connection is one, and each request may need another one to
// Salesforce. openFiles is 0 where it is not known.
func withinOpenFiles(cfg *config.Config, openFiles int, logger *slog.Logger) *config.Config {
	if openFiles == 0 {
		return cfg
	}
	connections, requests := shareFiles(max(openFiles-reservedFiles, 2), cfg.Proxy.MaxConnections, cfg.Proxy.MaxRequests)
	if connections == cfg.Proxy.MaxConnections && requests == cfg.Proxy.MaxRequests {
		return cfg
	}
	logger.Warn("the limits are lowered, since the system allows this process too few open files: raise that (LimitNOFILE= of the unit, ulimit -n of the shell, --ulimit nofile= of the container), or lower PROXY_MAX_CONNECTIONS and PROXY_MAX_REQUESTS",
		"open_files", openFiles, "connections", connections, "requests", requests)
	lowered := *cfg
	lowered.Proxy.MaxConnections, lowered.Proxy.MaxRequests = connections, requests
	return &lowered
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
