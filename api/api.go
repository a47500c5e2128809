// Package api is the management API, /api/v1: what the command line, the bench
// and programs of the node's own organisation use. The OpenAPI 3.1 document at
// /api/v1/openapi.json comes out of the handlers, so it cannot differ from them.
//
// Nothing is answered without an API token, which names the participant. It is
// not for counterparts (dsphttp) nor for browsers (portal).
package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"kakehashi/account"
	"kakehashi/agreement"
	"kakehashi/catalog"
	"kakehashi/client"
	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/bound"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
	"kakehashi/issuer"
	"kakehashi/negotiation"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/partner"
	"kakehashi/services"
	"kakehashi/store"
	"kakehashi/transfer"
	"kakehashi/trust"
	"kakehashi/wallet"
)

// Config is what the API needs.
type Config struct {
	DB           store.DB
	Accounts     *account.Room
	Participants *participant.Room
	Partners     *partner.Room
	Catalog      *catalog.Room
	Agreements   *agreement.Room
	Negotiations *negotiation.Room
	Transfers    *transfer.Room
	Evidence     *evidence.Log
	Outbox       *outbox.Queue
	Trust        *trust.Room
	Wallet       *wallet.Room
	Issuer       *issuer.Room
	Keys         Keys
	Catalogs     Catalogs
	Watch        *watch.Hub
	Services     []services.Service
	// EndAgreement ends an agreement and every transfer under it in one unit.
	EndAgreement func(ctx context.Context, p participant.ID, id, why string) error
	Portal       string // address of the portal, for links
	Title        string
	Version      string
	MaxBody      int64
	Within       time.Duration   // in which a request is answered, beside what it waits for by its own wish; 0: bound.Within
	Stopping     <-chan struct{} // closed when streams shall end
	Now          func() time.Time
	Log          *slog.Logger
}

// Catalogs asks partners for what they offer; dsphttp.Client does.
type Catalogs interface {
	Catalog(ctx context.Context, p participant.ID, who partner.Partner, w partner.Want) (partner.Shown, error)
	Dataset(ctx context.Context, p participant.ID, who partner.Partner, id string) (dsp.Dataset, error)
}

type server struct{ Config }

// New makes the handler of everything below /api/v1.
func New(c Config) http.Handler {
	s := &server{c}
	ownErrors()
	mux := http.NewServeMux()
	hc := huma.DefaultConfig("kakehashi management API", c.Version)
	hc.OpenAPIPath, hc.DocsPath, hc.SchemasPath, hc.CreateHooks = "/openapi", "", "", nil
	hc.Formats = map[string]huma.Format{"application/json": format, "json": format}
	hc.Servers = []*huma.Server{{URL: "/api/v1"}}
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	hc.Security = []map[string][]string{{"token": {}}}
	api := humago.New(mux, hc)
	s.routes(api)
	for _, svc := range c.Services {
		if svc.Routes != nil {
			svc.Routes(api)
		}
	}
	return bound.Requests{Within: c.Within, Extra: wished, Refuse: writeProblem}.Handler(
		http.StripPrefix("/api/v1", http.MaxBytesHandler(s.authenticated(mux), c.MaxBody)))
}

// wished is how long a request itself wants to wait for a state.
func wished(r *http.Request) time.Duration {
	d, err := time.ParseDuration(r.URL.Query().Get("wait"))
	if err != nil || d < 0 {
		return 0
	}
	return min(d, maxWait)
}

// ownErrors makes huma's errors ours. It is a variable of that package, so it is
// set once for all nodes of a process.
var ownErrors = sync.OnceFunc(func() { huma.NewErrorWithContext = problem })

// format reads and writes JSON as the rest of the program does: doubled members
// are refused here too.
var format = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		b, err := strictjson.Encode(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	},
	Unmarshal: func(b []byte, v any) error { return strictjson.Decode(b, v) },
}

type principalKey struct{}

// authenticated answers nobody without a token. What changes something needs the
// scope admin, the rest read.
func (s *server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			writeProblem(w, r, fault.Unauthorized.At("Authorization"))
			return
		}
		who, err := s.Accounts.Check(r.Context(), raw)
		if err == nil && r.Method != http.MethodGet && r.Method != http.MethodHead {
			err = who.May(account.Admin)
		} else if err == nil {
			err = who.May("read")
		}
		if err != nil {
			writeProblem(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, who)))
	})
}

// Caller tells for which participant a request speaks; services get it as
// services.Host.Caller.
func Caller(ctx context.Context) (participant.ID, error) {
	who, ok := ctx.Value(principalKey{}).(account.Principal)
	if !ok {
		return "", fault.Unauthorized.At("")
	}
	return who.Participant, nil
}

// failure is an error as RFC 9457 has it, with our code, place and remedy.
type failure struct{ client.Problem }

func (f *failure) Error() string             { return f.Detail }
func (f *failure) GetStatus() int            { return f.Status }
func (f *failure) ContentType(string) string { return "application/problem+json" }

// problem renders what handlers return and what huma finds wrong in a request.
func problem(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
	lang := "en"
	if ctx != nil {
		lang = language(ctx.Header("Accept-Language"))
	}
	for _, err := range errs {
		var f *fault.Error
		if errors.As(err, &f) {
			if after := f.RetryAfter(); after != "" && ctx != nil {
				ctx.SetHeader("Retry-After", after)
			}
			return render(f, lang)
		}
	}
	if status >= 500 {
		f := fault.Internal.At("")
		f.Cause = errors.Join(errs...)
		slog.Error("API request failed", "err", f.Cause)
		return render(f, lang)
	}
	reason, place := msg, ""
	for _, err := range errs {
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			reason, place = d.Message, d.Location
		} else if err != nil {
			reason = err.Error()
		}
	}
	f := render(fault.BadMessage.At(place, "reason", reason), lang)
	f.Status = status
	return f
}

func render(f *fault.Error, lang string) *failure {
	return &failure{client.Problem{
		Type: "about:blank", Title: http.StatusText(f.Kind.Status), Status: f.Kind.Status,
		Detail: f.What(lang), Code: f.Kind.Code, Place: f.Place, Remedy: f.Remedy(lang),
	}}
}

func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	e := fault.Of(err)
	f := render(e, language(r.Header.Get("Accept-Language")))
	b, err := strictjson.Encode(f.Problem)
	if err != nil {
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	if f.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if after := e.RetryAfter(); after != "" {
		w.Header().Set("Retry-After", after)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.Status)
	_, _ = w.Write(b)
}

func language(header string) string {
	if strings.HasPrefix(strings.ToLower(header), "ja") {
		return "ja"
	}
	return "en"
}
