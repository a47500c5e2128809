package main

import (
	"context"
)

// check has the program look through the tables of a side that has ended.
func check(context.Context, *side) error { return nil }
