package cli

import (
	"os"
	"path/filepath"
	"strings"

	"kakehashi/client"
	"kakehashi/config"
	"kakehashi/internal/fault"
)

// Reach is how a command finds the node that it speaks to: by the node's own
// settings file, which names its address and its data folder with the API token,
// or by an address and a token in KAKEHASHI_TOKEN.
type Reach struct {
	Config string `placeholder:"FILE"`
	API    string `name:"api" placeholder:"URL"`
}

// tokenEnv holds the API token of a node elsewhere.
const tokenEnv = "KAKEHASHI_TOKEN"

// Client connects the command with its node.
func (r Reach) Client(c *Context) (*client.Client, error) {
	if r.API != "" {
		token, _ := c.LookupEnv(tokenEnv)
		return &client.Client{Base: strings.TrimSuffix(r.API, "/"), Token: token, Lang: c.Lang()}, nil
	}
	path := r.Config
	if path == "" {
		path = newFile
	}
	s, err := config.Load(config.Source{Path: path, Env: c.LookupEnv})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.Data, "api.token")
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.CannotRead.At(file, "reason", err.Error()).Because(err)
	}
	scheme := "http://"
	if s.TLS() {
		scheme = "https://"
	}
	return &client.Client{Base: scheme + s.AdminListen, Token: strings.TrimSpace(string(raw)), Lang: c.Lang()}, nil
}
