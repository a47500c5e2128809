// Command kakehashi is the whole program: a node of a data space, and what its
// people do with it from a terminal. Everything is in package cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"kakehashi/cli"
	"kakehashi/cli/bench"
	"kakehashi/cli/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(cli.Main(ctx, os.Args[1:], cli.OS(), wiring()))
}

// wiring names the commands that lie in packages of their own.
func wiring() cli.Wiring {
	return cli.Wiring{
		Init:     cli.InitNode(os.LookupEnv),
		Commands: []cli.Command{demo.Command, bench.Command},
	}
}
