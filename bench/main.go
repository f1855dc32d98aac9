package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	// Children are told to end when the thread that started them does, see
	// newProcess: this one lives as long as the process.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// roles are what the children are that this program itself is.
var roles = map[string]func(ctx context.Context, args []string) error{
	"upstream":     serveUpstream,
	"load":         runLoad,
	"reverseproxy": serveReverseProxy,
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		if role, ok := roles[args[0]]; ok {
			runtime.UnlockOSThread()
			return role(ctx, args[1:])
		}
	}
	opts, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	err = bench(ctx, opts, os.Stdout)
	if ctx.Err() != nil {
		return context.Cause(ctx) // whatever broke off because of it
	}
	return err
}
