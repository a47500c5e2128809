package transfer

import (
	"kakehashi/process"
	"kakehashi/store"
)

// Check looks at all transfers as process.Check does; each has its agreement.
func Check(tx store.Tx, c process.Checked) error {
	return process.Check(tx, c, "transfer", decode, func(Process) bool { return true })
}
