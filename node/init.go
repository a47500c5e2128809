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
	if err := n.writeToken(ctx, who.ID); err != nil {
		return "", err
	}
	if err := n.evidence.Flush(ctx, who.ID); err != nil {
		return "", err
	}
	return who.DID, nil
}

// Join makes what a further replica needs beside its settings, and what a node needs
// on a machine to which its store was brought: an API token for the command line of
// this machine. The store holds a node already (fault.NoParticipant), of this name
// and address (fault.JoinDiffers) and sealed with this master key (fault.VaultClosed);
// other replicas may serve it. Nothing else is written.
func Join(ctx context.Context, s config.Settings, masterKey []byte) (id string, err error) {
	who, err := hosted(s)
	if err != nil {
		return "", err
	}
	if path := filepath.Join(s.Data, databaseFile); s.Store == "" {
		if _, err := os.Stat(path); err != nil {
			return "", fault.NoParticipant.At(s.Data, "data", s.Data)
		}
	}
	n := &Node{c: Config{Settings: s, MasterKey: masterKey, Now: time.Now, Log: slog.New(slog.DiscardHandler)}}
	defer func() {
		if server, ok := n.db.(*postgres.DB); ok && err != nil && server.Fresh() {
			err = errors.Join(err, server.Drop(context.WithoutCancel(ctx), schemas(s)...))
		}
		err = errors.Join(err, n.close())
	}()
	if err := n.openStore(ctx); err != nil {
		return "", err
	}
	there := n.participants.All()
	if len(there) == 0 {
		return "", fault.NoParticipant.At(storePlace(s), "data", storePlace(s))
	}
	if is, ok := n.participants.Get(who.ID); !ok || is.DID != who.DID || is.Base != who.Base {
		return "", fault.JoinDiffers.At(storePlace(s), "name", there[0].ID, "did", there[0].DID, "given", who.DID, "as", who.ID)
	}
	if file := filepath.Join(s.Data, tokenFile); absent(file) {
		err = n.writeToken(ctx, who.ID)
	} else {
		err = fault.FileExists.At(file)
	}
	return who.DID, err
}

func absent(file string) bool {
	_, err := os.Lstat(file)
	return errors.Is(err, os.ErrNotExist)
}

// writeToken makes an API token for the command line of this machine.
func (n *Node) writeToken(ctx context.Context, p participant.ID) error {
	file := filepath.Join(n.c.Settings.Data, tokenFile)
	accounts, err := account.Open(account.Config{DB: n.db, Now: n.c.Now, Rand: rand.Reader})
	if err != nil {
		return err
	}
	token, err := accounts.NewToken(ctx, p, "command line of this machine", []string{account.Admin})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the API token: %w", err)
	}
	return nil
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
