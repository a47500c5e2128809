package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kakehashi/account"
	"kakehashi/config"
	"kakehashi/did"
	"kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/postgres"
)

// Init makes a new node's database with its participant, keys and an API token
// for the command line of this machine. DID, addresses and log origin are chosen
// here, from public_url and participant, and are permanent. A database that
// exists is refused; after an error nothing of it is left.
func Init(ctx context.Context, s config.Settings, masterKey []byte) (id string, err error) {
	path := filepath.Join(s.Data, databaseFile)
	if _, err := os.Stat(path); err == nil && s.Store == "" {
		return "", fault.NodeExists.At(path, "file", path)
	}
	who, err := hosted(s)
	if err != nil {
		return "", err
	}
	n := &Node{c: Config{Settings: s, MasterKey: masterKey, Now: time.Now, Log: slog.New(slog.DiscardHandler)}}
	defer func() {
		if server, ok := n.db.(*postgres.DB); ok && err != nil && server.Fresh() {
			err = errors.Join(err, server.Drop(context.WithoutCancel(ctx), schemas(s)...))
		}
		err = errors.Join(err, n.close())
		if err != nil && s.Store == "" {
			for _, f := range []string{path, path + "-wal", path + "-shm", path + ".lock", filepath.Join(s.Data, tokenFile)} {
				_ = os.Remove(f)
			}
		}
	}()
	if err := n.openStore(ctx); err != nil {
		return "", err
	}
	if len(n.participants.All()) > 0 {
		where := path
		if server, ok := n.db.(*postgres.DB); ok {
			where = server.Place()
		}
		return "", fault.NodeExists.At(where, "file", where)
	}
	if err := n.participants.Create(ctx, who); err != nil {
		return "", err
	}
	err = n.db.Update(ctx, func(tx store.Tx) error {
		return n.evidence.Append(tx, who.ID, evidence.Leaf{Type: "kh.key.created", Process: who.DID, Version: 1,
			Facts: map[string]string{"participant": string(who.ID)}})
	})
	if err != nil {
		return "", err
	}
	accounts, err := account.Open(account.Config{DB: n.db, Now: n.c.Now, Rand: rand.Reader})
	if err != nil {
		return "", err
	}
	token, err := accounts.NewToken(ctx, who.ID, "command line of this machine", []string{account.Admin})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(s.Data, tokenFile), []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the API token: %w", err)
	}
	if err := n.evidence.Flush(ctx, who.ID); err != nil {
		return "", err
	}
	return who.DID, nil
}

// hosted names the participant of a node for one (decisions 20).
func hosted(s config.Settings) (participant.Participant, error) {
	id, err := did.FromURL(s.PublicURL, s.Development)
	if err != nil {
		return participant.Participant{}, err
	}
	return participant.Participant{
		ID: participant.ID(s.Participant), DID: id, Origin: strings.TrimPrefix(id, "did:web:"),
		Base:    s.PublicURL + "/dsp/" + s.Participant + "/" + dsp2025.Version,
		DataURL: s.DataURL,
	}, nil
}
