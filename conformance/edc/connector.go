package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kakehashi/conformance/maven"
	"kakehashi/conformance/serving"
)

// connector is an EDC that runs.
type connector struct {
	id         string // its participant id
	management string // base of its management API
	protocol   string // DSP base URL, with the version
	poll       time.Duration
	cmd        *exec.Cmd
	exited     chan error
}

// Times that an EDC has to be ready, and to end.
const (
	toStart = 60 * time.Second
	toStop  = 10 * time.Second
)

// polling are the settings of how often EDC looks for work; 0 leaves them as they
// come, a second each.
func polling(every time.Duration) string {
	if every == 0 {
		return ""
	}
	var b strings.Builder
	for _, machine := range []string{"negotiation.consumer", "negotiation.provider", "transfer"} {
		fmt.Fprintf(&b, "edc.%s.state-machine.iteration-wait-millis=%d\n", machine, every.Milliseconds())
	}
	for _, machine := range []string{"negotiation", "transfer"} {
		fmt.Fprintf(&b, "edc.%s.state-machine.batch-size=50\n", machine)
	}
	return b.String()
}

// startConnector returns when the EDC can do everything: it says that it is
// healthy before its own data plane has registered, and offers and transfers
// nothing until then.
func startConnector(ctx context.Context, jars maven.Jars, folder, id string, every time.Duration, log io.Writer) (*connector, error) {
	free, err := serving.Free(5)
	if err != nil {
		return nil, err
	}
	settings := fmt.Sprintf(`edc.participant.id=%s
edc.hostname=127.0.0.1
edc.mock.region=eu
edc.policy.validation.enabled=false
edc.transfer.proxy.token.signer.privatekey.alias=private
edc.transfer.proxy.token.verifier.publickey.alias=public
`, id)
	for i, api := range []string{"", "management", "control", "protocol", "version"} {
		_, port, _ := strings.Cut(free[i], ":")
		name, path := "web.http."+api, "/"+api
		if api == "" {
			name, path = "web.http", "/api"
		}
		name = strings.TrimSuffix(name, ".")
		settings += fmt.Sprintf("%s.port=%s\n%s.path=%s\n", name, port, name, path)
	}
	c := &connector{id: id, management: "http://" + free[1] + "/management/v3", protocol: "http://" + free[3] + "/protocol/2025-1",
		poll: 50 * time.Millisecond, exited: make(chan error, 1)}
	settings += "edc.dsp.callback.address=http://" + free[3] + "/protocol\n" +
		"edc.dataplane.api.control.baseurl=http://" + free[2] + "/control\n" + polling(every)
	file := filepath.Join(folder, id+".properties")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	c.cmd = exec.Command("java", "-Xmx1g", "-Dedc.fs.config="+file, "-cp", filepath.Join(jars.Folder, "*"), "org.eclipse.edc.boot.system.runtime.BaseRuntime", "--log-level=DEBUG")
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("java: %w", err)
	}
	go func() { c.exited <- c.cmd.Wait() }()
	if err := c.ready(ctx, "http://"+free[0]+"/api/check/health"); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *connector) ready(ctx context.Context, health string) error {
	ctx, cancel := context.WithTimeout(ctx, toStart)
	defer cancel()
	why := "it does not answer"
	for {
		select {
		case err := <-c.exited:
			c.exited <- err
			return fmt.Errorf("EDC %s ended before it was ready: %v", c.id, err)
		case <-ctx.Done():
			return fmt.Errorf("EDC %s is not ready: %s", c.id, why)
		case <-time.After(c.poll):
		}
		resp, err := http.Get(health)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			why = "it is not healthy: " + resp.Status
			continue
		}
		var planes []struct{ State string }
		if err := c.call(ctx, http.MethodGet, "/dataplanes", nil, &planes); err != nil {
			why = err.Error()
			continue
		}
		if len(planes) > 0 && planes[0].State == "AVAILABLE" {
			return nil
		}
		why = fmt.Sprintf("its data planes are %v", planes)
	}
}

// stop ends the EDC and waits for it.
func (c *connector) stop() error {
	select {
	case err := <-c.exited:
		return fmt.Errorf("EDC %s ended by itself: %v", c.id, err)
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.exited: // its code is that of the signal
		return nil
	case <-time.After(toStop):
		err := c.cmd.Process.Kill()
		<-c.exited
		return err
	}
}
