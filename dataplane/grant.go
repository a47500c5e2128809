// Package dataplane moves bytes under contract. It owns the grants: each is the
// right of one counterparty to use one address, to fetch from it or to send one
// body to it, or the duty of this node to send one, for as long as its transfer
// and its agreement last. Every request is admitted by its token and by the
// terms, metered in windows of use, and put on record; a cut ends the next
// request and the open streams.
//
// It is not for protocol messages (dsphttp) and knows no kind of data: what an
// address serves is the Format of a service.
package dataplane

import (
	"context"
	"embed"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"kakehashi/evidence"
	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema holds the tables of this room.
var Schema = store.SchemaIn("dataplane", files)

// Way is in which direction the bytes of a grant go, and who begins.
type Way string

const (
	WayServe   Way = "serve"   // the counterparty fetches, as often as it likes
	WayReceive Way = "receive" // the counterparty sends us one body, with POST or PUT
	WayPush    Way = "push"    // Push sends one body to the counterparty's address
)

// Grant is what one transfer opened. It never changes; its state does.
type Grant struct {
	ID           string // made by Open
	Way          Way    // "" is WayServe
	Participant  participant.ID
	Transfer     string // our process id of the transfer
	Counterparty string
	Agreement    string
	Dataset      string
	Service      string // whose Format serves it; Open finds it when only one service has the format
	Format       string
	Source       json.RawMessage // what the service needs to find the data; never shown
	Filter       json.RawMessage // what must hold for each item; no Format can apply one yet, so Open refuses it
}

// States of a grant.
const (
	StateOpen      = "open"
	StateSuspended = "suspended"
	StateClosed    = "closed"
)

// Access is what a start message tells the counterparty. Token is not kept
// anywhere in this room: 256 random bits, base64url without padding.
type Access struct {
	Grant   string
	Address string // <DataURL>/data/<GRANT>/, the base that a client's own path follows
	Token   string
}

// Format is one way in which a service serves a grant.
type Format struct {
	Service string // the service's name, as in its datasets
	Name    string // Word-PULL or Word-PUSH; unique within its service
	// Serve answers one admitted request. The URL's path is relative to the
	// grant's base and starts with "/"; the request's context ends with the grant.
	// A body that ends before its Content-Length is reset, never ended cleanly.
	// A push is the answer to a GET of "/", sent on to the counterparty.
	Serve func(http.ResponseWriter, *http.Request, *Session)
	// Receive takes the body that a counterparty sends, whole or with an error;
	// nil is a file of the node. The body ends with the grant.
	Receive func(context.Context, *Session, http.Header, io.Reader) error
}

// Moved is one body that went from one side to the other whole.
type Moved struct {
	Bytes  int64
	Digest string // sha256:<hex>
	File   string // of a received body without a Receive: its path; else ""
}

// Gate says whether an agreement permits access now, and until when the answer
// holds; a zero until has no end of its own. A refusal is a fault that explains.
type Gate interface {
	Access(ctx context.Context, p participant.ID, agreementID string, now time.Time) (until time.Time, err error)
}

// Recorder writes a leaf into the caller's unit of work.
type Recorder interface {
	Append(tx store.Tx, p participant.ID, leaf evidence.Leaf, bodies ...evidence.Body) error
}

// Info is a grant with its state and what was counted so far.
type Info struct {
	Grant
	State, Why string
	Address    string
	Generation int64 // how many tokens there were
	Opened     time.Time
	Closed     time.Time // zero while not closed
	// Totals of all closed windows.
	Bytes, Items, Requests int64
}
