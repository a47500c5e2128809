package negotiation

import (
	"kakehashi/process"
	"kakehashi/store"
)

// Check looks at all negotiations as process.Check does; a finalized one has its
// agreement.
func Check(tx store.Tx, c process.Checked) error {
	return process.Check(tx, c, "negotiation", decode, func(p Process) bool { return p.State == Finalized })
}
