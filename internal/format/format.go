// Package format is the version of the bodies that rows hold, so that programs of
// two versions can serve the same tables while a node is being updated: one that
// meets a body of a newer format leaves it alone, and says so by name.
//
// It is one number for the whole program, raised when the meaning of any body
// changes. It is not for the columns of tables: those have store.Schema.
package format

import (
	"errors"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// Reads is the newest format that this program reads; it is also what it writes.
const Reads int64 = 1 + ahead

// Mark is what bodies are written with that had no version at first: 0, which is
// left out, stands for 1.
func Mark() int64 {
	if Reads == 1 {
		return 0
	}
	return Reads
}

// Newer is a body that a newer program wrote. It is fault.NewerProgram to faces.
type Newer struct {
	What, ID string // as "negotiation" and its id
	Format   int64
	cause    *fault.Error
}

func (n *Newer) Error() string { return n.cause.Error() }
func (n *Newer) Unwrap() error { return n.cause }

// Check refuses a format that is newer than Reads with *Newer.
func Check(what, id string, version int64) error {
	if version <= Reads {
		return nil
	}
	return &Newer{what, id, version, fault.NewerProgram.At(id, "what", what, "format", version, "reads", Reads)}
}

// Of finds the format of a newer body in err's chain.
func Of(err error) (version int64, ok bool) {
	var n *Newer
	if errors.As(err, &n) {
		return n.Format, true
	}
	return 0, false
}

// Look checks the member v of a JSON body before anything else of it is read. A
// body without one, or that is no object, passes.
func Look(what, id string, body []byte) error {
	var head struct {
		Format int64 `json:"v"`
	}
	if len(body) == 0 || strictjson.DecodeOpen(body, &head) != nil {
		return nil
	}
	return Check(what, id, head.Format)
}
