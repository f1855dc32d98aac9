package process

import "log/slog"

// Harden takes from the process what it does not need: the dumps of its memory,
// which holds the private key, and memory beyond the limit of its control
// group. A system that refuses is one that the program runs on as before. Of
// environ, the environment as [os.Environ] has it, Go's own GOMEMLIMIT and GOGC
// count. It is called once, before there is a key.
func Harden(environ []string, logger *slog.Logger) {
	if err := hideMemory(); err != nil {
		logger.Debug("the system did not take back the right to dump this process", "error", err)
	}
	limitMemory(environ, logger)
	raiseHeapGoal(environ)
}
