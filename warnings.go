package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/sfproxy/sfproxy/auth"
	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/process"
)

// warningsOf returns what is to be warned of: what package config has found, and
// domains that are trusted beyond Salesforce's own, which it does not know.
func warningsOf(cfg *config.Config) []string {
	foreign := slices.DeleteFunc(slices.Clone(cfg.Salesforce.TrustedDomains), auth.IsSalesforce)
	if len(foreign) == 0 {
		return cfg.Warnings
	}
	return append(slices.Clip(cfg.Warnings), fmt.Sprintf("SF_TRUSTED_DOMAINS: tokens may go to hosts in %s, beyond Salesforce's own domains: leave out what is not yours",
		strings.Join(foreign, ", ")))
}

// notesOf returns what changes a check of the org's side and is no reason for a
// warning, since whoever needs it can do nothing about it.
func notesOf(cfg *config.Config) []string {
	if cfg.Salesforce.CAFile == "" {
		return nil
	}
	return []string{"SF_CA_FILE: its authorities are trusted beside the system's, for TLS to the org"}
}

func logWarnings(logger *slog.Logger, cfg *config.Config) {
	for _, warning := range warningsOf(cfg) {
		logger.Warn(warning)
	}
	for _, note := range notesOf(cfg) {
		logger.Info(note)
	}
}

// fitOpenFiles returns cfg with limits that the files this process may open
// allow, and says so if they had to be lowered.
func fitOpenFiles(cfg *config.Config, logger *slog.Logger) *config.Config {
	files := process.OpenFiles()
	lowered := cfg.WithinOpenFiles(files)
	if lowered != cfg {
		logger.Warn("the limits are lowered, since the system allows this process too few open files: raise that (LimitNOFILE= of the unit, ulimit -n of the shell, --ulimit nofile= of the container), or lower PROXY_MAX_CONNECTIONS and PROXY_MAX_REQUESTS",
			"open_files", files, "connections", lowered.Proxy.MaxConnections, "requests", lowered.Proxy.MaxRequests)
	}
	return lowered
}
