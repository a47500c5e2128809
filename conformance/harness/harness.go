// Package harness starts the product as an organisation would, `kakehashi init`
// and `kakehashi serve`, and makes it follow conversations: it gives the node the
// datasets and agreements that they name, and takes the decisions that they
// leave to our side. It uses nothing but the node's public hooks: settings, the
// management API, the decision webhook and the event stream.
//
// It is not part of the product, and judges nothing: that is the kit's part.
package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/script"
	"kakehashi/conformance/serving"
)

// Config says what to start. All members but Log are needed.
type Config struct {
	Program       string // the kakehashi binary
	Folder        string // of the node: made anew, must not exist
	Conversations []script.Conversation
	Counterparty  string // the kit's participant id
	CounterBase   string // its DSP base URL
	Authorization string // what the kit sends as Authorization, and what we send it
	Pause         time.Duration
	NodeLog       io.Writer    // what the node writes to stderr
	Log           *slog.Logger // decisions as they are taken; nothing when nil
}

// Harness is a served node and those who decide for it.
type Harness struct {
	Node     client.Node
	API      *client.Client
	Triggers string // base URL of the addresses that start processes of ours

	c       Config
	served  *serving.Node
	player  *player
	servers []*http.Server
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// TriggerNegotiation and TriggerTransfer are the paths below Triggers.
const (
	TriggerNegotiation = "/negotiations/requests"
	TriggerTransfer    = "/transfers/requests"
)

// Start returns when the node answers and all is in place. Stop must be called
// even when ctx has ended.
func Start(ctx context.Context, c Config) (*Harness, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(ctx)
	h := &Harness{c: c, stop: stop}
	if err := h.start(ctx); err != nil {
		return nil, errors.Join(err, h.Stop())
	}
	return h, nil
}

func (h *Harness) start(ctx context.Context) error {
	webhook, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	h.served, err = serve(ctx, h.c, "http://"+webhook.Addr().String()+"/decisions", key)
	if err != nil {
		return errors.Join(err, webhook.Close())
	}
	h.API = h.served.API
	h.player = newPlayer(h.c, h.API, key)
	h.listen(webhook, http.HandlerFunc(h.player.asked))
	if h.Node, err = h.API.Node(ctx); err != nil {
		return fmt.Errorf("ask the node who it is: %w", err)
	}
	if err := seed(ctx, h.c, h.API, h.served.Files); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	ready := make(chan struct{})
	h.done.Add(1)
	go func() {
		defer h.done.Done()
		h.player.watch(ctx, ready)
	}()
	select {
	case <-ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	triggers, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+TriggerNegotiation, h.triggerNegotiation)
	mux.HandleFunc("POST "+TriggerTransfer, h.triggerTransfer)
	h.listen(triggers, mux)
	h.Triggers = "http://" + triggers.Addr().String()
	return nil
}

func (h *Harness) listen(l net.Listener, handler http.Handler) {
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	h.servers = append(h.servers, s)
	h.done.Add(1)
	go func() {
		defer h.done.Done()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.c.Log.Error("listener ended", "err", err)
		}
	}()
}

// Stop ends the node and waits for it; an error says that it did not end well,
// or that a decision could not be taken.
func (h *Harness) Stop() error {
	h.stop()
	var err error
	for _, s := range h.servers {
		err = errors.Join(err, s.Close())
	}
	if h.player != nil {
		h.player.wait()
	}
	h.done.Wait()
	if h.served != nil {
		err = errors.Join(err, h.served.Stop())
	}
	return err
}

// Root is the address below which /.well-known/dspace-version lies.
func (h *Harness) Root() string {
	root, _, _ := strings.Cut(h.Node.Base, "/dsp/")
	return root
}
