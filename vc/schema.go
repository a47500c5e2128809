package vc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/sync/singleflight"

	"kakehashi/internal/recent"
	"kakehashi/internal/strictjson"
)

const (
	maxSchema     = 256 << 10
	maxSchemas    = 100
	keepSchema    = time.Hour
	schemaTimeout = 10 * time.Second
)

// SchemaTypes are the kinds of credentialSchema that FetchedSchemas understands.
var SchemaTypes = []string{"JsonSchema", "JsonSchemaValidator2018"}

// FetchedSchemas checks subjects by JSON Schemas that it fetches, of any draft,
// and keeps up to 100 of them for an hour. A schema that refers to another
// document is refused, for it would make us fetch what its author likes.
type FetchedSchemas struct {
	http   *http.Client
	now    func() time.Time
	flight singleflight.Group
	kept   *recent.Of[string, keptSchema]
}

type keptSchema struct {
	*jsonschema.Schema
	err   error
	until time.Time
}

// NewSchemas makes one. HTTP is guarded: addresses stand in what others show.
func NewSchemas(h *http.Client, now func() time.Time) *FetchedSchemas {
	return &FetchedSchemas{http: h, now: now, kept: recent.New[string, keptSchema](maxSchemas)}
}

// Check implements Schemas.
func (f *FetchedSchemas) Check(ctx context.Context, s Schema, subject []byte) error {
	if !slices.Contains(SchemaTypes, s.Type) {
		return fmt.Errorf("a schema of type %.60q is not understood", s.Type)
	}
	k, ok := f.kept.Get(s.ID)
	if !ok || !f.now().Before(k.until) {
		shared := f.flight.DoChan(s.ID, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), schemaTimeout)
			defer cancel()
			compiled, err := f.fetch(ctx, s.ID)
			k := keptSchema{compiled, err, f.now().Add(keepSchema)}
			if err != nil {
				k.until = f.now().Add(keepFailure)
			}
			f.kept.Put(s.ID, k)
			return k, nil
		})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case got := <-shared:
			k, _ = got.Val.(keptSchema)
		}
	}
	if k.err != nil {
		return k.err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(subject))
	if err != nil {
		return errors.New("the subject is not valid JSON")
	}
	if err := k.Validate(value); err != nil {
		var v *jsonschema.ValidationError
		if errors.As(err, &v) {
			for len(v.Causes) > 0 {
				v = v.Causes[0]
			}
			return fmt.Errorf("at /%s: %s", strings.Join(v.InstanceLocation, "/"), strings.Join(v.ErrorKind.KeywordPath(), "/"))
		}
		return err
	}
	return nil
}

// nothing loads no other documents.
type nothing struct{}

func (nothing) Load(address string) (any, error) {
	return nil, fmt.Errorf("it refers to another document, %.200q", address)
}

func (f *FetchedSchemas) fetch(ctx context.Context, address string) (*jsonschema.Schema, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the address of the schema is not valid")
	}
	req.Header.Set("Accept", "application/schema+json, application/json")
	resp, err := f.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the schema cannot be read: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server of the schema answers %s", resp.Status)
	}
	body, err := strictjson.Read(resp.Body, maxSchema)
	if err != nil {
		return nil, fmt.Errorf("the schema cannot be read: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the schema is not valid JSON")
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nothing{})
	if err := c.AddResource(address, doc); err != nil {
		return nil, fmt.Errorf("the schema is not valid: %w", err)
	}
	compiled, err := c.Compile(address)
	if err != nil {
		return nil, fmt.Errorf("the schema is not valid: %w", err)
	}
	return compiled, nil
}
