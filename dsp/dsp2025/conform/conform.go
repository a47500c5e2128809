// Package conform holds JSON against the published schemas of the Dataspace
// Protocol 2025-1. Everything comes from memory; nothing is ever fetched.
//
// It is for tests and tools. The node itself reads messages with package
// dsp2025, which is stricter in some places and faster.
package conform

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"kakehashi/dsp/dsp2025/published"
)

const base = "https://w3id.org/dspace/2025/1/"

// suffix ends the name of each published schema.
const suffix = "-schema.json"

var (
	mu       sync.Mutex // a compiler is not safe for concurrent use
	load     = sync.OnceValues(compiler)
	compiled = map[string]*jsonschema.Schema{}
)

// Check says why body does not conform to a schema, nil if it does. A schema is
// named as it was published below its folder, without the ending, and with a
// fragment for a part of it: "negotiation/contract-request-message",
// "negotiation/contract#/definitions/Offer".
func Check(schema string, body []byte) error {
	s, err := find(schema)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("read JSON for %s: %w", schema, err)
	}
	if err := s.Validate(v); err != nil {
		return fmt.Errorf("against %s: %w", schema, err)
	}
	return nil
}

// Names lists the schemas that Check knows.
func Names() []string {
	var out []string
	_ = fs.WalkDir(published.Files, ".", func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(path, suffix); ok {
			out = append(out, name)
		}
		return err
	})
	return out
}

func find(name string) (*jsonschema.Schema, error) {
	mu.Lock()
	defer mu.Unlock()
	if s, ok := compiled[name]; ok {
		return s, nil
	}
	c, err := load()
	if err != nil {
		return nil, err
	}
	file, fragment, _ := strings.Cut(name, "#")
	s, err := c.Compile(base + file + suffix + "#" + fragment)
	if err != nil {
		return nil, fmt.Errorf("compile schema %s: %w", name, err)
	}
	compiled[name] = s
	return s, nil
}

func compiler() (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	for _, name := range Names() {
		raw, err := fs.ReadFile(published.Files, name+suffix)
		if err != nil {
			return nil, fmt.Errorf("read schema %s: %w", name, err)
		}
		// Three schemas refer to "#definitions/...", an anchor that is not there.
		raw = bytes.ReplaceAll(raw, []byte("#definitions/"), []byte("#/definitions/"))
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("read schema %s: %w", name, err)
		}
		if err := c.AddResource(base+name+suffix, doc); err != nil {
			return nil, fmt.Errorf("add schema %s: %w", name, err)
		}
	}
	return c, nil
}

// nowhere loads nothing, so that a schema that is not at hand is an error.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("schema %s is not among the published ones and is not fetched", url)
}
