package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// listener is what stands around the two connectors: the place EDC reads data
// from and writes data to, and what EDC tells its events to.
type listener struct {
	base   string
	server *http.Server
	ended  chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and made anew on each change
	arrived map[string][]byte
	events  map[string][]event // by EDC's transfer
	read    map[string]bool    // gated assets that were read
	trouble []error
}

// event is one of EDC's, as far as it is read.
type event struct {
	Type    string `json:"type"`
	Payload struct {
		Transfer string `json:"transferProcessId"`
		Address  struct {
			Properties map[string]any `json:"properties"`
		} `json:"dataAddress"`
	} `json:"payload"`
}

// started is the event that holds where data is and what opens it.
const started = "TransferProcessStarted"

// content is what lies at the source of an asset.
func content(asset string) []byte { return []byte(strings.Repeat("row of "+asset+"\n", 4000)) }

func listen() (*listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &listener{base: "http://" + l.Addr().String(), changed: make(chan struct{}), arrived: map[string][]byte{},
		events: map[string][]event{}, read: map[string]bool{}, ended: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /source/{asset}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := w.Write(content(r.PathValue("asset"))); err != nil {
			s.note(fmt.Errorf("read of %s: %w", r.PathValue("asset"), err))
		}
	})
	mux.HandleFunc("GET /gated/{asset}", s.gated)
	mux.HandleFunc("/sink/{name}", s.sink)
	mux.HandleFunc("POST /events", s.told)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.note(err)
		}
	}()
	return s, nil
}

// note keeps trouble, and wakes whoever waits for a change.
func (s *listener) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.trouble = append(s.trouble, err)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// gated is silent to whoever reads an asset first, and answers the next one. It
// does not stop halfway: EDC cannot cut what it is reading in the middle.
func (s *listener) gated(w http.ResponseWriter, r *http.Request) {
	asset := r.PathValue("asset")
	s.mu.Lock()
	first := !s.read[asset]
	s.read[asset] = true
	s.mu.Unlock()
	if first {
		s.note(nil)
		select {
		case <-r.Context().Done():
		case <-s.ended:
		}
		return
	}
	if _, err := w.Write(content(asset)); err != nil {
		s.note(fmt.Errorf("read of %s: %w", asset, err))
	}
}

// reading waits until an asset is being read.
func (s *listener) reading(ctx context.Context, asset string) error {
	if err := s.wait(ctx, func() bool { return s.read[asset] }); err != nil {
		return fmt.Errorf("EDC does not read %s: %w", asset, err)
	}
	return nil
}

// sink takes what is pushed to it.
func (s *listener) sink(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
	if err != nil {
		s.note(fmt.Errorf("what was pushed broke off: %w", err))
		return
	}
	s.mu.Lock()
	s.arrived[r.PathValue("name")] = b
	s.mu.Unlock()
	s.note(nil)
}

func (s *listener) told(w http.ResponseWriter, r *http.Request) {
	var e event
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&e); err != nil {
		s.note(fmt.Errorf("an event of EDC: %w", err))
		return
	}
	s.mu.Lock()
	s.events[e.Payload.Transfer] = append(s.events[e.Payload.Transfer], e)
	s.mu.Unlock()
	s.note(nil)
}

// pushed waits for what goes to a name.
func (s *listener) pushed(ctx context.Context, name string) ([]byte, error) {
	var b []byte
	err := s.wait(ctx, func() bool { b = s.arrived[name]; return b != nil })
	if err != nil {
		return nil, fmt.Errorf("nothing was pushed to %s: %w", name, err)
	}
	return b, nil
}

// access waits for the nth start of EDC's transfer, from 1, and gives address and
// authorization that it holds then.
func (s *listener) access(ctx context.Context, transfer string, nth int) (address, authorization string, err error) {
	var found event
	err = s.wait(ctx, func() bool {
		count := 0
		for _, e := range s.events[transfer] {
			if e.Type == started {
				if count++; count == nth {
					found = e
					return true
				}
			}
		}
		return false
	})
	if err != nil {
		return "", "", fmt.Errorf("EDC told of no start number %d of its transfer %s: %w", nth, transfer, err)
	}
	property := func(name string) string {
		v, _ := found.Payload.Address.Properties["https://w3id.org/edc/v0.0.1/ns/"+name].(string)
		return v
	}
	return property("endpoint"), property("authorization"), nil
}

func (s *listener) wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop ends the listener; what went wrong in it comes back.
func (s *listener) stop() error {
	close(s.ended)
	err := s.server.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(append(s.trouble, err)...)
}
