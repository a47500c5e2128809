package harness

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"kakehashi/conformance/serving"
)

// newKey is the key of the webhook's signatures.
func newKey() (string, error) {
	b := make([]byte, 32)
	_, err := rand.Read(b)
	return fmt.Sprintf("%x", b), err
}

// serve makes a node in its folder and starts it. With an Authorization the
// development identity is set to it; a node is told so on its command line only.
func serve(ctx context.Context, c Config, webhook, key string) (*serving.Node, error) {
	folder, err := filepath.Abs(c.Folder)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	keyFile := filepath.Join(folder, "webhook.key")
	if err := os.WriteFile(keyFile, []byte(key+"\n"), 0o600); err != nil {
		return nil, err
	}
	args := []string{"--decision-webhook", webhook, "--decision-webhook-key-file", keyFile}
	if c.Authorization != "" {
		args = append(args, "--identity-template", c.Authorization, "--identity-template-caller", c.Counterparty)
	}
	return serving.Start(ctx, serving.Config{Program: c.Program, Folder: folder, Participant: "cut", Args: args, Log: c.NodeLog})
}
