// Package node puts the rooms together: it opens them in the order in which they
// need each other, serves them, and stops them in the reverse. It decides
// nothing itself.
package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kakehashi/account"
	"kakehashi/agreement"
	"kakehashi/api"
	"kakehashi/catalog"
	"kakehashi/config"
	"kakehashi/dataplane"
	"kakehashi/dcphttp"
	"kakehashi/dsphttp"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/bound"
	"kakehashi/internal/fault"
	"kakehashi/internal/guard"
	"kakehashi/internal/lock"
	"kakehashi/internal/watch"
	"kakehashi/issuer"
	"kakehashi/negotiation"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/partner"
	"kakehashi/policy"
	"kakehashi/portal"
	"kakehashi/replica"
	"kakehashi/store"
	"kakehashi/store/copying"
	"kakehashi/store/postgres"
	"kakehashi/store/sqlite"
	"kakehashi/transfer"
	"kakehashi/trust"
	"kakehashi/wallet"
)

// Config is what a node needs.
type Config struct {
	Settings  config.Settings // complete, as config.Load gives them
	MasterKey []byte          // 32 bytes
	Version   string
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger

	Within time.Duration // in which what is no stream is answered; 0: bound.Within
	Head   time.Duration // in which the head of a request arrives; 0: 10 s

	// Store wraps the engine, so that a test can stop the node at any commit.
	// nil: the engine itself.
	Store func(store.DB) store.DB
}

// Node is an open node. Run serves it.
type Node struct {
	c      Config
	closer []func(context.Context) error // run in reverse
	db     store.DB
	pulse  *pulse
	plane  *dataplane.Plane

	signals      replica.Signals // nil: the store has none
	replicas     *replica.Room
	participants *participant.Room
	evidence     *evidence.Log
	outbox       *outbox.Queue
	identity     *identity.Room
	hub          *watch.Hub
	trust        *trust.Room
	wallet       *wallet.Room
	agreements   *agreement.Room
	transfers    *transfer.Room

	public, admin           http.Handler
	publicAddr, adminAddr   string
	listenPublic, listenAdm net.Listener
	token                   string
	ready, stopping         chan struct{}
	left                    chan struct{} // capacity 1: a replica is gone
}

// databaseFile is the embedded database in the data folder.
const databaseFile = "node.db"

// tokenFile holds the API token that the command line uses on this machine.
const tokenFile = "api.token"

// homeFile names and locks the data folder of a replica.
const homeFile = "replica.lock"

// schemas are the tables of everything that keeps some.
func schemas(s config.Settings) []store.Schema {
	all := []store.Schema{copying.Schema, replica.Schema, participant.Schema, evidence.Schema, outbox.Schema, identity.Schema, trust.Schema, wallet.Schema, issuer.Schema, partner.Schema, account.Schema,
		agreement.Schema, catalog.Schema, negotiation.Schema, transfer.Schema, dataplane.Schema}
	for _, svc := range offered(s) {
		if svc.Schema.Owner != "" {
			all = append(all, svc.Schema)
		}
	}
	return all
}

// Open opens everything that the node keeps and binds its two listeners; nothing
// is served before Run. An error leaves nothing open.
func Open(ctx context.Context, c Config) (_ *Node, err error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Within <= 0 {
		c.Within = bound.Within
	}
	if c.Head <= 0 {
		c.Head = headWithin
	}
	n := &Node{c: c, ready: make(chan struct{}), stopping: make(chan struct{}), left: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if err := n.openStore(ctx); err != nil {
		return nil, err
	}
	if len(n.participants.All()) == 0 {
		return nil, fault.NoParticipant.At(c.Settings.Data, "data", c.Settings.Data)
	}
	raw, err := os.ReadFile(filepath.Join(c.Settings.Data, tokenFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the API token: %w", err)
	}
	n.token = strings.TrimSpace(string(raw))
	if err := n.listen(); err != nil {
		return nil, err
	}
	return n, n.openRooms(ctx)
}

// engine opens what the setting store names. Only a server carries signals to
// other replicas.
func (n *Node) engine(ctx context.Context) (interface {
	store.DB
	Close() error
}, error) {
	s := n.c.Settings
	if s.Store != "" {
		db, err := postgres.Open(ctx, postgres.Config{URL: s.Store, Schemas: schemas(s), Log: n.c.Log, Now: n.c.Now})
		if err != nil {
			return nil, err
		}
		n.signals = db.Signals()
		return db, nil
	}
	return sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(s.Data, databaseFile), Schemas: schemas(s), Log: n.c.Log, Now: n.c.Now})
}

// openStore opens the engine and whom the node hosts.
func (n *Node) openStore(ctx context.Context) error {
	db, err := n.engine(ctx)
	if err != nil {
		return err
	}
	n.closer = append(n.closer, func(context.Context) error { return db.Close() })
	n.db = db
	if err := copying.Whole(ctx, db, storePlace(n.c.Settings)); err != nil {
		return err
	}
	if n.c.Store != nil {
		n.db = n.c.Store(db)
	}
	n.pulse = &pulse{DB: n.db}
	n.db = n.pulse
	vault, err := participant.NewVault(n.c.MasterKey, rand.Reader)
	if err != nil {
		return err
	}
	if n.participants, err = participant.Open(ctx, participant.Config{DB: n.db, Vault: vault, Now: n.c.Now, Rand: rand.Reader}); err != nil {
		return err
	}
	n.evidence, err = evidence.Open(ctx, evidence.Config{DB: n.db, Participants: n.participants.All, Keys: n.participants, Vault: vault,
		Now: n.c.Now, Rand: rand.Reader, Log: n.c.Log})
	return err
}

func (n *Node) openRooms(ctx context.Context) error {
	s, now, log := n.c.Settings, n.c.Now, n.c.Log
	home, err := n.home()
	if err != nil {
		return err
	}
	if n.replicas, err = replica.Open(ctx, replica.Config{DB: n.db, Alone: s.Store == "", Signals: n.signals, Home: home, Log: log}); err != nil {
		return err
	}
	n.closer = append(n.closer, n.replicas.Leave)
	hub := watch.New()
	n.hub = hub
	n.outbox = outbox.New(outbox.Config{DB: n.db, Replicas: n.replicas, Watch: hub, Log: log, Now: now, GiveUp: s.RetryFor})
	n.replicas.Own(n.outbox)
	n.replicas.Connect(hub)
	hub.Company(func() bool { return !n.replicas.Alone() })
	n.replicas.OnTaken(func(context.Context) { n.taken(hub) })
	hub.Elsewhere(outbox.LaneKind, n.outbox.Heard)
	n.evidence.Join(n.replicas, hub)
	n.replicas.OnTaken(n.evidence.Recheck)
	way := guard.New(guard.Config{Dev: s.Development, Allow: s.AllowNetworks, Timeout: s.OutgoingTimeout})
	n.closer = append(n.closer, func(context.Context) error { way.Close(); return nil })
	resolver := identity.NewWebResolver(identity.WebConfig{HTTP: way.HTTP(), Participants: n.participants, Dev: s.Development, Now: now})
	var template *identity.Template
	if s.IdentityTemplate != "" {
		if template, err = identity.NewTemplate(s.IdentityTemplate, s.IdentityTemplateCaller); err != nil {
			return fmt.Errorf("read identity_template: %w", err)
		}
		log.WarnContext(ctx, "identity_template is set: anybody who reaches this node can be anybody", "template", s.IdentityTemplate)
	}
	if n.trust, err = trust.Open(ctx, trust.Config{DB: n.db, Participants: n.participants, Evidence: n.evidence, Watch: hub,
		HTTP: way.HTTP(), Fresh: s.TrustFresh, Refresh: s.TrustRefresh, Now: now, Rand: rand.Reader, Log: log}); err != nil {
		return err
	}
	remote, err := n.remoteWallet(way.HTTP())
	if err != nil {
		return err
	}
	if n.identity, err = identity.Open(identity.Config{DB: n.db, Participants: n.participants, Resolver: resolver, Template: template,
		Lenient: n.trust.Lenient, Share: n.share, Remote: remote, Now: now, Rand: rand.Reader, Log: log}); err != nil {
		return err
	}
	n.trust.Bind(n.identity)
	if n.wallet, err = wallet.Open(ctx, wallet.Config{DB: n.db, Participants: n.participants, Identity: n.identity,
		Status: n.trust.Status, Schemas: n.trust.Schemas(), Strict: s.WalletStrict, Evidence: n.evidence, Outbox: n.outbox, Watch: hub, HTTP: way.HTTP(),
		Now: now, Rand: rand.Reader, Log: log}); err != nil {
		return err
	}
	issues := issuer.Open(issuer.Config{DB: n.db, Participants: n.participants, Identity: n.identity, Evidence: n.evidence,
		Outbox: n.outbox, Watch: hub, HTTP: way.HTTP(), Now: now, Rand: rand.Reader, Log: log})
	keys := n.keyring(resolver, hub)
	partners, err := partner.Open(partner.Config{DB: n.db, Watch: hub, HTTP: way.HTTP(), Resolver: resolver, Now: now, Log: log, Dev: s.Development})
	if err != nil {
		return err
	}
	n.closer = append(n.closer, partners.Close)
	accounts, err := account.Open(account.Config{DB: n.db, Watch: hub, Now: now, Rand: rand.Reader})
	if err != nil {
		return err
	}
	n.agreements = agreement.Open(agreement.Config{DB: n.db, Evidence: n.evidence, Watch: hub, Now: now})
	engine := policy.New(policy.Config{Agreements: n.agreements, Credentials: n.trust, Now: now})
	offers := catalog.Open(catalog.Config{DB: n.db, Policy: engine, Evidence: n.evidence, Watch: hub, Now: now})

	running, formats, err := n.openServices(offers)
	if err != nil {
		return err
	}
	if n.plane, err = dataplane.New(ctx, dataplane.Config{DB: n.db, Gate: engine, Evidence: n.evidence, Watch: hub, Replicas: n.replicas, Participants: n.participants.Get,
		Formats: formats, Folder: s.ReceivedDir, MaxReceived: int64(s.MaxReceivedBytes), HTTP: way.Stream(),
		Received: func(tx store.Tx, g dataplane.Grant, m dataplane.Moved) error { return n.transfers.Received(tx, g, m) },
		Now:      now, Rand: rand.Reader, Log: log}); err != nil {
		return err
	}
	n.closer = append(n.closer, n.plane.Close)

	wire := dsphttp.NewClient(dsphttp.ClientConfig{HTTP: way.HTTP(), Identity: n.identity, Partners: partners, Now: now})
	talk := negotiation.Config{DB: n.db, Participants: n.participants, Identity: n.identity, Offers: offers, Judge: engine,
		Agreements: bond{n}, Evidence: n.evidence, Outbox: n.outbox, Wire: wire, Watch: hub, Patience: partners,
		MaxOpen: s.PartnerOpen, Now: now, Log: log}
	move := transfer.Config{DB: n.db, Participants: n.participants, Identity: n.identity, Agreements: n.agreements, Sources: sources{offers},
		Gate: engine, Plane: n.plane, Evidence: n.evidence, Outbox: n.outbox, Wire: wire, Watch: hub, Patience: partners,
		MaxOpen: s.PartnerOpen, Now: now, Log: log}
	webhook, err := n.webhook()
	if err != nil {
		return err
	}
	if webhook != nil {
		talk.Asker, move.Asker = webhook, webhook
	}
	negotiations, err := negotiation.Open(talk)
	if err != nil {
		return err
	}
	if n.transfers, err = transfer.Open(move); err != nil {
		return err
	}
	if webhook != nil {
		webhook.Bind(negotiations, n.transfers)
	}

	protocol := dsphttp.NewServer(dsphttp.ServerConfig{DB: n.db, Participants: n.participants, Identity: n.identity, Trust: n.trust, Partners: partners,
		Catalog: offers, Negotiations: negotiations, Transfers: n.transfers, Evidence: n.evidence, Outbox: n.outbox,
		MaxBody: int64(s.MaxMessageBytes), Within: n.c.Within, Rate: s.PartnerRate, AddressRate: s.AddressRate, Now: now, Log: log})
	claims := dcphttp.New(dcphttp.Config{Participants: n.participants, Identity: n.identity, Accounts: accounts, Wallet: n.wallet, Issuer: issues,
		MaxBody: int64(s.MaxMessageBytes), Within: n.c.Within, Rate: s.PartnerRate, AddressRate: s.AddressRate, Now: now, Log: log})
	n.public = n.publicFace(protocol, claims)
	title := s.Title
	if title == "" {
		title = s.Participant
	}
	management := api.New(api.Config{DB: n.db, Accounts: accounts, Participants: n.participants, Partners: partners, Catalog: offers,
		Agreements: n.agreements, Negotiations: negotiations, Transfers: n.transfers, Evidence: n.evidence, Outbox: n.outbox, Catalogs: wire, Watch: hub,
		Services: running, Trust: n.trust, Wallet: n.wallet, Issuer: issues, Keys: keys, EndAgreement: n.EndAgreement, Portal: n.AdminURL(), Title: title, Version: n.c.Version,
		Stopping: n.stopping, Within: n.c.Within + s.OutgoingTimeout, MaxBody: int64(s.MaxMessageBytes), Now: now, Log: log})
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", management)
	mux.Handle("/sts/token", claims.Tokens())
	mux.Handle("/", portal.New(portal.Config{Accounts: accounts, Participants: n.participants, Catalog: offers, Agreements: n.agreements,
		Negotiations: negotiations, Transfers: n.transfers, Evidence: n.evidence, Outbox: n.outbox, Trust: n.trust, Wallet: n.wallet, Issuer: issues, Access: engine.Access, EndAgreement: n.EndAgreement, Within: n.c.Within, Now: now, Log: log, Secure: s.TLS()}))
	n.admin = mux
	return nil
}

// home names the data folder, which is this program's while it runs: who starts
// anew from it takes over at once what it left. The embedded store has a lock of
// its own.
func (n *Node) home() (string, error) {
	if n.c.Settings.Store == "" {
		return "", nil
	}
	folder := n.c.Settings.Data
	held, err := lock.Take(filepath.Join(folder, homeFile))
	if errors.Is(err, lock.ErrHeld) {
		return "", fault.StoreInUse.At(folder, "path", folder)
	}
	if err != nil {
		return "", fault.Unavailable.At(folder).Because(err)
	}
	n.closer = append(n.closer, func(context.Context) error { return held.Release() })
	return held.Name()
}

// publicFace sends data plane requests to the plane, those about credentials to
// claims, and all else to the protocol.
// It is no ServeMux: that one redirects double slashes and answers in plain text.
func (n *Node) publicFace(protocol http.Handler, claims *dcphttp.Server) http.Handler {
	data := n.plane.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if claims.Below(r.URL.EscapedPath()) {
			claims.ServeHTTP(w, r)
			return
		}
		if strings.Contains(r.URL.Path, "/data/") && !strings.Contains(r.URL.Path, "/dsp/") {
			data.ServeHTTP(w, r)
			return
		}
		protocol.ServeHTTP(w, r)
	})
}

// listen binds the two listeners, so that a taken port stops the start by name.
func (n *Node) listen() error {
	s := n.c.Settings
	for _, l := range []struct {
		name, address string
		into          *net.Listener
	}{{"listen", s.Listen, &n.listenPublic}, {"admin_listen", s.AdminListen, &n.listenAdm}} {
		got, err := net.Listen("tcp", l.address)
		if err != nil {
			return fault.CannotListen.At(l.name, "setting", l.name, "address", l.address).Because(err)
		}
		*l.into = got
		n.closer = append(n.closer, func(context.Context) error {
			if err := got.Close(); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

// Ready is closed once the node answers.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// PublicURL is where counterparts reach the node.
func (n *Node) PublicURL() string { return n.c.Settings.PublicURL }

// AdminURL is where its own people reach it.
func (n *Node) AdminURL() string {
	scheme := "http://"
	if n.c.Settings.TLS() {
		scheme = "https://"
	}
	return scheme + n.listenAdm.Addr().String()
}

// APIToken is the token of the command line on this machine.
func (n *Node) APIToken() string { return n.token }

// Run serves until ctx ends, then lets running requests end (5 s at most), stops
// the rest and closes everything.
func (n *Node) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var loops errgroup.Group
	loops.Go(func() error { return n.evidence.Run(background) })
	sending, stopSending := context.WithCancel(background)
	defer stopSending()
	leasing, stopLease := context.WithCancel(background)
	defer stopLease()
	leased := make(chan struct{})
	go func() { defer close(leased); n.replicas.Run(leasing) }()
	var lanes errgroup.Group
	lanes.Go(func() error { return n.outbox.Run(sending) })
	loops.Go(func() error { return n.prune(background) })
	loops.Go(func() error { return n.takeOver(background) })
	loops.Go(func() error { n.trust.Run(background); return nil })
	loops.Go(func() error { n.heedTrust(background); return nil })
	var hosted []participant.ID
	for _, p := range n.participants.All() {
		hosted = append(hosted, p.ID)
	}
	lanes.Go(func() error { n.transfers.Run(sending, hosted); return nil })

	servers := []*http.Server{n.server(n.public, publicPart), n.server(n.admin, adminPart)}
	for i, l := range []net.Listener{n.listenPublic, n.listenAdm} {
		g.Go(func() error {
			var err error
			if n.c.Settings.TLS() {
				err = servers[i].ServeTLS(l, n.c.Settings.TLSCert, n.c.Settings.TLSKey)
			} else {
				err = servers[i].Serve(l)
			}
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return err
		})
	}
	close(n.ready)
	<-gctx.Done()
	close(n.stopping)
	drain, cancel := context.WithTimeout(background, drainTime)
	defer cancel()
	late := false
	for _, srv := range servers {
		late = srv.Shutdown(drain) != nil || late
	}
	if late { // what still runs is cut by reset, so that nobody takes a part for the whole
		cut, cancel := context.WithTimeout(background, drainTime)
		if err := n.plane.Close(cut); err != nil {
			n.c.Log.WarnContext(cut, "data plane not closed", "err", err)
		}
		cancel()
		for _, srv := range servers {
			_ = srv.Close()
		}
	}
	err := g.Wait()
	stopSending()
	err = errors.Join(err, lanes.Wait())
	stopLease()
	<-leased
	// The plane's last windows and the partners' last marks are put on record
	// before the log numbers for the last time, and the store closes at the end.
	err = errors.Join(err, n.closeUntil(1))
	stop()
	return errors.Join(err, loops.Wait(), n.close())
}

const drainTime = 5 * time.Second

// prune forgets tokens that have expired, once a minute.
func (n *Node) prune(ctx context.Context) error {
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := n.identity.Prune(ctx); err != nil && ctx.Err() == nil {
				n.c.Log.WarnContext(ctx, "spent tokens not pruned", "err", err)
			}
			if err := n.wallet.Prune(ctx); err != nil && ctx.Err() == nil {
				n.c.Log.WarnContext(ctx, "reads of access tokens not pruned", "err", err)
			}
		}
	}
}

// Close closes a node that Run was never called on.
func (n *Node) Close() error { return n.close() }

func (n *Node) close() error { return n.closeUntil(0) }

// closeUntil closes, last opened first, down to the first keep.
func (n *Node) closeUntil(keep int) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var err error
	for len(n.closer) > keep {
		last := n.closer[len(n.closer)-1]
		n.closer = n.closer[:len(n.closer)-1]
		err = errors.Join(err, last(ctx))
	}
	return err
}
