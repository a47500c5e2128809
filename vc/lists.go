package vc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"kakehashi/did"
	"kakehashi/internal/recent"
	"kakehashi/internal/strictjson"
)

const (
	maxLists    = 200
	maxKeep     = 15 * time.Minute
	keepFailure = 3 * time.Second
	listTimeout = 10 * time.Second
	acceptList  = "application/vc+jwt, application/jwt, application/vc+ld+json, application/json"
)

// ListsConfig is what Lists needs.
type ListsConfig struct {
	HTTP *http.Client // guarded: addresses stand in what others show
	Keys Keys
	// Unsigned tells whose lists need no signature; nil is nobody's.
	Unsigned func(issuer string) bool
	// Delegate tells whether by may keep the lists of issuer; nil is nobody but itself.
	Delegate func(issuer, by string) bool
	// Keep is how long a list is taken as it was read, at most 15 minutes; what the
	// list or its server say may shorten it.
	Keep time.Duration
	// Stale is how long an old list still counts when it cannot be read again.
	Stale time.Duration
	Now   func() time.Time
}

// Lists fetches status lists, verifies them and keeps up to 200, of issuers that are trusted. It is a
// StatusLists.
type Lists struct {
	c      ListsConfig
	flight singleflight.Group
	kept   *recent.Of[string, keptList]
	failed *recent.Of[string, failedList]
	asked  atomic.Int64
}

type keptList struct {
	StatusList
	until time.Time // when it is to be read again
	etag  string
}

type failedList struct {
	err   error
	until time.Time
}

// NewLists makes one with an empty memory.
func NewLists(c ListsConfig) *Lists {
	if c.Unsigned == nil {
		c.Unsigned = func(string) bool { return false }
	}
	if c.Delegate == nil {
		c.Delegate = func(string, string) bool { return false }
	}
	if c.Keep <= 0 || c.Keep > maxKeep {
		c.Keep = 5 * time.Minute
	}
	return &Lists{c: c, kept: recent.New[string, keptList](maxLists), failed: recent.New[string, failedList](maxLists)}
}

// Fetches counts the lists that were asked for over the network.
func (l *Lists) Fetches() int64 { return l.asked.Load() }

// List implements StatusLists. All who ask for one list at a time share an answer.
func (l *Lists) List(ctx context.Context, e StatusEntry, issuer string) (StatusList, error) {
	list, err := l.read(ctx, e.List)
	if err != nil {
		return StatusList{}, err
	}
	if err := l.judge(list, issuer); err != nil {
		return StatusList{}, err
	}
	return list, nil
}

// judge tells whether a list counts for the credentials of issuer.
func (l *Lists) judge(list StatusList, issuer string) error {
	switch now := l.c.Now(); {
	case list.Issuer != issuer && !l.c.Delegate(issuer, list.Issuer):
		return fmt.Errorf("the list is that of %.200q", list.Issuer)
	case !list.Signed && !l.c.Unsigned(issuer):
		return errors.New("the list is not signed")
	case !list.Until.IsZero() && !list.Until.After(now):
		return fmt.Errorf("the list expired at %s", list.Until.Format(time.RFC3339))
	}
	return nil
}

func (l *Lists) read(ctx context.Context, address string) (StatusList, error) {
	now := l.c.Now()
	if k, ok := l.kept.Get(address); ok && now.Before(k.until) {
		return k.StatusList, nil
	}
	if f, ok := l.failed.Get(address); ok && now.Before(f.until) {
		return l.old(address, f.err)
	}
	shared := l.flight.DoChan(address, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listTimeout)
		defer cancel()
		got, err := l.fetch(ctx, address)
		if err != nil {
			l.failed.Put(address, failedList{err, l.c.Now().Add(keepFailure)})
			return nil, err
		}
		l.failed.Forget(address)
		l.kept.Put(address, got)
		return got, nil
	})
	select {
	case <-ctx.Done():
		return StatusList{}, ctx.Err()
	case got := <-shared:
		if got.Err != nil {
			return l.old(address, got.Err)
		}
		k, _ := got.Val.(keptList)
		return k.StatusList, nil
	}
}

// old is a list that cannot be read again, while it still counts.
func (l *Lists) old(address string, err error) (StatusList, error) {
	if k, ok := l.kept.Get(address); ok && l.c.Now().Before(k.ReadAt.Add(l.c.Stale)) {
		return k.StatusList, nil
	}
	return StatusList{}, err
}

func (l *Lists) fetch(ctx context.Context, address string) (keptList, error) {
	l.asked.Add(1)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return keptList{}, errors.New("its address is not valid")
	}
	req.Header.Set("Accept", acceptList)
	was, have := l.kept.Get(address)
	if have && was.etag != "" {
		req.Header.Set("If-None-Match", was.etag)
	}
	resp, err := l.c.HTTP.Do(req)
	if err != nil {
		return keptList{}, fmt.Errorf("the list cannot be read: %w", err)
	}
	defer resp.Body.Close()
	now := l.c.Now()
	if resp.StatusCode == http.StatusNotModified && have {
		was.ReadAt, was.until = now, l.until(was.StatusList, resp.Header, now)
		return was, nil
	}
	if resp.StatusCode != http.StatusOK {
		return keptList{}, fmt.Errorf("its server answers %s", resp.Status)
	}
	body, err := strictjson.Read(resp.Body, maxListBytes)
	if err != nil {
		return keptList{}, fmt.Errorf("the list cannot be read: %w", err)
	}
	list, err := ParseStatusList([]byte(strings.TrimSpace(string(body))))
	if err != nil {
		return keptList{}, err
	}
	list.URL, list.ReadAt = address, now
	if list.Signed {
		if list.KID != "" && !strings.HasPrefix(list.KID, list.Issuer+"#") {
			return keptList{}, errors.New("its key does not belong to its issuer")
		}
		pub, err := l.c.Keys(ctx, list.Issuer, list.KID, did.Assertion)
		if err != nil {
			return keptList{}, fmt.Errorf("the key of the list: %s", words(err))
		}
		if !list.message.Verify(pub) {
			return keptList{}, errors.New("the signature of the list does not match")
		}
	}
	list.message.Payload = nil // nobody reads it again
	return keptList{StatusList: list, until: l.until(list, resp.Header, now), etag: resp.Header.Get("ETag")}, nil
}

// until is when a list is to be read again.
func (l *Lists) until(list StatusList, h http.Header, now time.Time) time.Time {
	keep := l.c.Keep
	for part := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		part = strings.TrimSpace(part)
		if slices.Contains([]string{"no-store", "no-cache"}, part) {
			keep = min(keep, keepFailure)
		}
		if text, ok := strings.CutPrefix(part, "max-age="); ok {
			if s, err := strconv.Atoi(text); err == nil && s >= 0 {
				keep = min(keep, max(keepFailure, time.Duration(s)*time.Second))
			}
		}
	}
	at := now.Add(keep)
	if !list.Until.IsZero() && list.Until.Before(at) && list.Until.After(now) {
		return list.Until
	}
	return at
}
