// Package bench is `kakehashi bench`: it measures nodes that run as shipped, in
// processes of their own, through the calls that everybody has. No setting
// exists for it.
package bench

import (
	"kakehashi/cli"
)

// Command is the bench as the program lists it; each bench is a command below it.
var Command = cli.Command{Name: "bench", Group: "try", New: func() any { return &bench{} }}

type bench struct {
	Exchange exchange `cmd:""`
}
