package partner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

const (
	catalogPath = "/catalog"
	versionPath = "/.well-known/dspace-version"
	maxVersions = 256 << 10
	maxParents  = 8 // how far above a base its root is looked for
)

// place is where a connector may be.
type place struct {
	base string // DSP base, "" if unknown
	root string // where the version document should be, "" if unknown
}

// byDID follows the entries of the DID document: catalogue services first.
func (r *Room) byDID(ctx context.Context, name string) (Partner, error) {
	if r.c.Resolver == nil {
		return Partner{}, fault.DIDUnresolved.At("", "did", name, "reason", "no resolver")
	}
	doc, err := r.c.Resolver.Resolve(ctx, name)
	if err != nil {
		return Partner{}, err
	}
	places := announced(doc)
	if len(places) == 0 {
		return Partner{}, fault.PartnerNoService.At("", "partner", name)
	}
	var first error
	for _, at := range places {
		var base string
		if at.base == "" {
			var vs versions
			if vs, err = r.versions(ctx, at.root); err == nil {
				_, base, err = vs.choose(name, at.root, "")
			}
		} else {
			_, base, err = r.above(ctx, name, at.base)
			if errors.Is(err, fault.PartnerNotDSP) { // the entry may name the root (EDC)
				if vs, e := r.versions(ctx, at.base); e == nil {
					_, base, err = vs.choose(name, at.base, "")
				}
			}
		}
		if err == nil {
			return Partner{DID: name, Base: base}, nil
		}
		// What a later entry says of its version is worth more than an earlier
		// one that is no connector.
		if first == nil || errors.Is(err, fault.NoCommonVersion) && !errors.Is(first, fault.NoCommonVersion) {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Partner{}, first
}

// announced lists what a DID document says of its connector. A DataService's
// endpoint may be its version document or its catalogue.
func announced(doc did.Document) []place {
	var all []place
	for _, kind := range []string{"CatalogService", "DataService"} {
		for _, s := range doc.Services {
			if s.Type != kind || s.Endpoint == "" || len(all) == maxParents {
				continue
			}
			end := strings.TrimRight(s.Endpoint, "/")
			if root, ok := strings.CutSuffix(end, versionPath); ok {
				all = append(all, place{root: root})
			} else {
				all = append(all, place{base: strings.TrimRight(strings.TrimSuffix(end, catalogPath), "/")})
			}
		}
	}
	return all
}

// byURL takes a root, a base, or the address of a version document.
func (r *Room) byURL(ctx context.Context, raw string) (Partner, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return Partner{}, fault.AddressRefused.At("", "address", shown(raw), "why", "not a URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return Partner{}, fault.AddressRefused.At("", "address", shown(raw), "why", "not https")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Partner{}, fault.AddressRefused.At("", "address", shown(raw), "why", "it has user info, a query or a fragment")
	}
	root := strings.TrimRight(u.String(), "/")
	root = strings.TrimRight(strings.TrimSuffix(root, versionPath), "/")

	var chosen version
	var base string
	vs, err := r.versions(ctx, root)
	switch {
	case err == nil:
		chosen, base, err = vs.choose(root, root, "")
	case errors.Is(err, fault.PartnerNotDSP):
		// It may be a base; else what it says itself tells more than its parents.
		var above error
		if chosen, base, above = r.above(ctx, root, root); above == nil || !errors.Is(above, fault.PartnerNotDSP) {
			err = above
		}
	}
	if err != nil {
		return Partner{}, err
	}
	return Partner{DID: r.named(ctx, chosen, base), Base: base}, nil
}

// above looks for the version document that lists base, from its parent up to
// the root of the host.
func (r *Room) above(ctx context.Context, who, base string) (version, string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return version{}, "", fault.AddressRefused.At("", "address", clip(base), "why", "not a URL")
	}
	origin := u.Scheme + "://" + u.Host
	var first error
	at := base
	for range maxParents {
		if len(at) <= len(origin) {
			break
		}
		at = strings.TrimRight(at[:max(strings.LastIndexByte(at, '/'), len(origin))], "/")
		vs, err := r.versions(ctx, at)
		if err == nil {
			v, b, err := vs.choose(who, at, base)
			if err == nil {
				return v, b, nil
			}
			if first == nil || !errors.Is(first, fault.NoCommonVersion) {
				first = err
			}
			continue
		}
		if !errors.Is(err, fault.PartnerNotDSP) { // it does not answer: neither will its parents
			return version{}, "", err
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fault.PartnerNotDSP.At("", "address", base, "reason", "no version document")
	}
	return version{}, "", first
}

// named finds the DID of a connector that was reached by its address, and
// believes it only if the DID's own document lists that base. "" if none does.
func (r *Room) named(ctx context.Context, v version, base string) string {
	if r.c.Resolver == nil {
		return ""
	}
	var names []string
	if strings.HasPrefix(v.ServiceID, "did:web:") && did.Check(v.ServiceID) == nil {
		names = append(names, v.ServiceID)
	}
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	for at := u.Path; ; {
		if n, err := did.FromURL(u.Scheme+"://"+u.Host+at, r.c.Dev); err == nil && len(names) < maxParents {
			names = append(names, n)
		}
		cut := strings.LastIndexByte(at, '/')
		if cut < 0 {
			break
		}
		at = at[:cut]
	}
	// The root of a host with many participants says nothing about one of them:
	// only the root right above the base counts.
	parent := base[:strings.LastIndexByte(base, '/')]
	tried := map[string]bool{}
	for _, n := range names {
		if tried[n] || ctx.Err() != nil {
			continue
		}
		tried[n] = true
		doc, err := r.c.Resolver.Resolve(ctx, n)
		if err != nil {
			continue
		}
		for _, at := range announced(doc) {
			if at.base == base || at.root != "" && at.root == parent {
				return n
			}
		}
	}
	return ""
}

// versions reads the version document below root. fault.PartnerNotDSP when
// something answers that is none, PartnerUnreachable when nothing does.
func (r *Room) versions(ctx context.Context, root string) (versions, error) {
	address := root + versionPath
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fault.AddressRefused.At("", "address", clip(root), "why", "not a URL").Because(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := r.c.HTTP.Do(req)
	if err != nil {
		if errors.Is(err, fault.AddressRefused) {
			return nil, err
		}
		return nil, fault.PartnerUnreachable.At(address, "address", root).
			Because(fmt.Errorf("after %s: %w", time.Since(began).Round(time.Millisecond), err))
	}
	defer resp.Body.Close()
	b, err := strictjson.Read(resp.Body, maxVersions)
	switch {
	case errors.Is(err, strictjson.ErrTooLarge):
		return nil, notDSP(address, "its version document is too large")
	case err != nil:
		return nil, fault.PartnerUnreachable.At(address, "address", root).Because(err)
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return nil, fault.PartnerUnreachable.At(address, "address", root).Because(fmt.Errorf("it answers %s", resp.Status))
	case resp.StatusCode != http.StatusOK:
		return nil, notDSP(address, fmt.Sprintf("status %d", resp.StatusCode))
	}
	vs, err := decode(b)
	if err != nil {
		return nil, notDSP(address, err.Error())
	}
	return vs, nil
}

func notDSP(address, reason string) error {
	return fault.PartnerNotDSP.At(address, "address", address, "reason", reason)
}
