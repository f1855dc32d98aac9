// Package telemetry is what an operator sees of the program: its log, and the
// admin port with liveness, readiness and metrics.
package telemetry
