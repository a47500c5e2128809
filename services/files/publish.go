package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/catalog"
	"kakehashi/client"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/odrl"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

func (s *service) routes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "publish-file", Method: http.MethodPost, Path: "/files/datasets", DefaultStatus: http.StatusCreated,
		Tags: []string{name}, Summary: "Offer a file of the node's machine",
		Description: "Publishing an id again makes its next version; offers whose rules stay the same keep their id.",
	}, func(ctx context.Context, in *struct{ Body client.PublishFile }) (*struct{ Body client.Dataset }, error) {
		p, err := s.Caller(ctx)
		if err != nil {
			return nil, err
		}
		d, err := s.publish(ctx, p, in.Body)
		if err != nil {
			return nil, err
		}
		return &struct{ Body client.Dataset }{d}, nil
	})
}

// publish reads the file once for its digest, unless it is known, and then
// offers it in one unit. Errors name the file and the remedy.
func (s *service) publish(ctx context.Context, p participant.ID, in client.PublishFile) (client.Dataset, error) {
	policy, err := strictjson.Encode(in.Policy)
	if err == nil {
		policy, err = odrl.Expand(policy)
	}
	if err != nil {
		return client.Dataset{}, fault.BadMessage.At("/policy", "reason", "it cannot be written as JSON").Because(err)
	}
	src, err := s.examine(ctx, p, in.Path)
	if err != nil {
		return client.Dataset{}, err
	}
	asking, ok := process.AskingOf(in.Asking)
	if !ok {
		return client.Dataset{}, fault.BadMessage.At("/asking", "reason", "automatic, ask or each-step is expected")
	}
	offer := catalog.Offer{ID: in.Offer, Policy: policy}
	if in.ID != "" && in.Offer == "" {
		if offer, err = s.sameOffer(ctx, p, in.ID, offer); err != nil {
			return client.Dataset{}, err
		}
	}
	var d catalog.Dataset
	err = s.DB.Update(ctx, func(tx store.Tx) error {
		d, err = s.Catalog.Publish(tx, p, catalog.Dataset{
			ID: in.ID, Title: in.Title, Description: in.Description, Service: name, Asking: asking,
			Formats: []string{pull, push}, Offers: []catalog.Offer{offer},
		})
		if err != nil {
			return err
		}
		if err := save(tx, p, d.ID, src); err != nil {
			return err
		}
		return s.Evidence.Append(tx, p, evidence.Leaf{
			Type: "kh.files.published", Process: d.ID, Version: d.Version,
			Hashes: map[string]string{"payload": src.digest},
			Facts:  map[string]string{"dataset": d.ID, "bytes": strconv.FormatInt(src.size, 10)},
		})
	})
	if err != nil {
		return client.Dataset{}, fmt.Errorf("publish %s: %w", src.path, err)
	}
	return client.Dataset{
		ID: d.ID, Title: d.Title, Description: d.Description, Service: d.Service, Version: d.Version, Formats: d.Formats, Asking: string(d.Asking),
		Offers: []client.Offer{{ID: d.Offers[0].ID, Policy: d.Offers[0].Policy}},
	}, nil
}

// examine checks that the file may be published and gives it with its digest.
func (s *service) examine(ctx context.Context, p participant.ID, path string) (source, error) {
	root, real, err := s.locate(path)
	if err != nil {
		return source{}, err
	}
	f, info, err := openIn(root, real)
	switch {
	case errors.Is(err, errNotRegular):
		return source{}, fault.FileIsFolder.At("/path", "path", path)
	case errors.Is(err, fs.ErrNotExist):
		return source{}, fault.FileMissing.At("/path", "path", path)
	case err != nil:
		return source{}, fault.FileUnreadable.At("/path", "path", path).Because(err)
	}
	defer f.Close()
	src := source{path: real, size: info.Size(), mtime: info.ModTime().UnixMicro()}
	if src.digest, err = s.known(ctx, p, src); err != nil || src.digest != "" {
		return src, err
	}
	d, n, err := digest(ctx, f)
	if err != nil {
		return source{}, fault.FileUnreadable.At("/path", "path", path).Because(err)
	}
	after, err := f.Stat()
	if err != nil {
		return source{}, fault.FileUnreadable.At("/path", "path", path).Because(err)
	}
	if n != src.size || after.Size() != src.size || after.ModTime().UnixMicro() != src.mtime {
		return source{}, fault.FileChanging.At("/path", "path", path)
	}
	src.digest = d
	return src, nil
}

// sameOffer gives the offer in force whose rules are those of o, byte for byte
// as it was published, else o: an offer is immutable, so the same terms stay the
// same offer and other terms become a new one.
func (s *service) sameOffer(ctx context.Context, p participant.ID, dataset string, o catalog.Offer) (catalog.Offer, error) {
	old, err := s.Catalog.Kept(ctx, p, dataset)
	if errors.Is(err, fault.NotFound) {
		return o, nil
	} else if err != nil {
		return o, err
	}
	if old.Service != name {
		return o, fault.DatasetTaken.At("/id", "dataset", dataset, "service", old.Service)
	}
	want, err := odrl.Parse(o.Policy)
	if err != nil {
		return o, nil // Publish refuses it and says where
	}
	for _, before := range old.Offers {
		if have, err := odrl.Parse(before.Policy); err == nil && have.Hash() == want.Hash() {
			return before, nil
		}
	}
	return o, nil
}
