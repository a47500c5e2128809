package sqlite

import "kakehashi/store"

// Script lets tests reach the connection of a unit, for what no room may do.
func Script(unit store.Tx, text string) error { return unit.(*tx).c.script(text) }
