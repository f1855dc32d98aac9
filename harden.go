package main

import "log/slog"

// harden takes from the process what it does not need: the dumps of its memory,
// which holds the private key, and memory beyond the limit of its control
// group. A system that refuses is one that the proxy runs on as before.
func harden(environ []string, logger *slog.Logger) {
	if err := hideMemory(); err != nil {
		logger.Debug("the system did not take back the right to dump this process", "error", err)
	}
	limitMemory(environ, logger)
	raiseHeapGoal(environ)
}
