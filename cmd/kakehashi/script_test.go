package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"kakehashi/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kakehashi": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(cli.Main(ctx, os.Args[1:], cli.OS(), wiring()))
	}})
}

// The scripts are what a person does with the whole program: nodes in processes
// of their own, on free ports.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"TOKYO", "TOKYO_ADMIN", "BRUSSELS", "BRUSSELS_ADMIN"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				e.Setenv(name, l.Addr().String())
				if err := l.Close(); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// ready waits until somebody listens on the addresses.
			"ready": func(ts *testscript.TestScript, _ bool, addresses []string) {
				for _, a := range addresses {
					ts.Check(listening(a))
				}
			},
			// await runs a command until its output matches a pattern.
			"await": func(ts *testscript.TestScript, _ bool, args []string) {
				pattern := regexp.MustCompile(args[0])
				for until := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
					err := ts.Exec(args[1], args[2:]...)
					if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
						return
					}
					if time.Now().After(until) {
						ts.Fatalf("%q never came: %v", args[0], err)
					}
				}
			},
			// take puts the first word of a file that begins with a prefix into a variable.
			"take": take,
		},
	})
}

func listening(address string) error {
	until := time.Now().Add(20 * time.Second)
	for {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(until) {
			return fmt.Errorf("nobody listens on %s: %w", address, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}
