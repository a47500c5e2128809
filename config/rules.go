package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"kakehashi/did"
	"kakehashi/identity"
	"kakehashi/internal/fault"
)

// check completes the settings and holds them against each other. A rule about
// a setting that is wrong already is passed over: one fault, one message.
type check struct {
	s      *Settings
	failed map[string]bool
	faults *Faults
	src    Source
}

func (c *check) set(name string) bool { return c.s.places[name] != "" || c.failed[name] }
func (c *check) fine(names ...string) bool {
	for _, n := range names {
		if c.failed[n] {
			return false
		}
	}
	return true
}

// at is where a person changes the setting: where it stands, or else the file
// or the flag that would set it.
func (c *check) at(name string) string {
	if p := c.s.places[name]; p != "" {
		return p
	}
	if c.src.Path != "" && !c.src.New {
		return c.src.Path
	}
	return "--" + field(name).Flag()
}

func (c *check) wrong(k *fault.Kind, name, value string, more ...any) {
	c.failed[name] = true
	*c.faults = append(*c.faults, k.At(c.at(name), append([]any{"name", name, "value", shown(value)}, more...)...))
}

// complete derives what is not set from the other settings.
func (c *check) complete() {
	s := c.s
	if !c.set("title") {
		s.Title = s.Participant
	}
	if !c.set("public_url") && c.fine("listen") {
		host, port, _ := net.SplitHostPort(s.Listen)
		if a, err := netip.ParseAddr(host); host == "" || port == "0" || err == nil && a.IsUnspecified() {
			c.wrong(fault.SettingPublicURLMissing, "public_url", s.Listen)
		} else if s.TLS() {
			s.PublicURL = "https://" + s.Listen
		} else {
			s.PublicURL = "http://" + s.Listen
		}
	}
	if !c.set("data_url") {
		s.DataURL = s.PublicURL
	}
	if !c.set("master_key_file") {
		s.MasterKeyFile = filepath.Join(s.Data, "master.key")
	}
	if !c.set("files_roots") {
		s.FilesRoots = []string{filepath.Join(s.Data, "files")}
	}
	if !c.set("received_dir") {
		s.ReceivedDir = filepath.Join(s.Data, "received")
	}
}

func (c *check) rules() {
	s := c.s
	for _, p := range [][2]string{{"tls_cert", "tls_key"}, {"tls_key", "tls_cert"}} {
		if c.s.places[p[0]] != "" && !c.set(p[1]) {
			c.wrong(fault.SettingTLSPair, p[0], "", "other", p[1])
		}
	}
	c.webhook()
	c.template()
	c.file("tls_cert", s.TLSCert)
	c.file("tls_key", s.TLSKey)
	if c.fine("listen", "admin_listen") && s.Listen == s.AdminListen && !strings.HasSuffix(s.Listen, ":0") {
		c.wrong(fault.SettingSameAddress, "admin_listen", s.AdminListen, "other", "listen")
	}
	if c.fine("development") {
		c.reached("public_url", s.PublicURL)
		if c.set("data_url") {
			c.reached("data_url", s.DataURL)
		}
	}
}

func (c *check) file(name, path string) {
	if path == "" || !c.fine(name) {
		return
	}
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		if info, e := f.Stat(); e == nil && info.Mode().IsRegular() {
			return
		}
	}
	c.wrong(fault.SettingFile, name, path)
}

// webhook judges where decisions are asked for: the operator's own choice, but
// nobody else on the way may read what waits.
func (c *check) webhook() {
	s := c.s
	for _, p := range [][2]string{{"decision_webhook", "decision_webhook_key_file"}, {"decision_webhook_key_file", "decision_webhook"}} {
		if c.s.places[p[0]] != "" && !c.set(p[1]) {
			c.wrong(fault.SettingPair, p[0], "", "other", p[1])
		}
	}
	if s.DecisionWebhook == "" || !c.fine("decision_webhook", "decision_webhook_key_file") {
		return
	}
	if u, err := url.Parse(s.DecisionWebhook); err != nil || u.Scheme != "https" && !loopback(u.Hostname()) {
		c.wrong(fault.SettingWebhook, "decision_webhook", s.DecisionWebhook)
	}
	if _, err := s.DecisionWebhookKey(); err != nil {
		c.wrong(fault.SettingWebhookKey, "decision_webhook_key_file", s.DecisionWebhookKeyFile)
	}
}

// template lets a header stand for proof on one machine only.
func (c *check) template() {
	s := c.s
	if s.IdentityTemplate == "" || !c.fine("identity_template", "identity_template_caller", "development", "listen") {
		return
	}
	host, _, _ := net.SplitHostPort(s.Listen)
	if !s.Development || !loopback(host) {
		c.wrong(fault.SettingTemplatePublic, "identity_template", s.IdentityTemplate)
	} else if _, err := identity.NewTemplate(s.IdentityTemplate, s.IdentityTemplateCaller); err != nil {
		c.wrong(fault.SettingTemplate, "identity_template", s.IdentityTemplate, "reason", err.Error())
	}
}

// reached judges an address that counterparts are given: https, or with
// development http on this machine. did:web (section 3.2) knows nothing else.
func (c *check) reached(name, address string) {
	if !c.fine(name) || address == "" {
		return
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		c.wrong(fault.SettingURL, name, address)
	case c.s.Development && (u.Scheme != "http" || !loopback(u.Hostname())):
		c.wrong(fault.SettingDevelopment, name, address)
	case !c.s.Development && u.Scheme != "https":
		c.wrong(fault.SettingNeedsHTTPS, name, address)
	case name == "public_url":
		if _, err := did.FromURL(address, c.s.Development); err != nil {
			c.wrong(fault.SettingNoDID, name, address)
		}
	}
}

func loopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
