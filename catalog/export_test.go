package catalog

// LookAt makes n the number of datasets that are looked at for one page.
func (r *Room) LookAt(n int) { r.scanned = n }

// Like makes the test of a pattern.
var Like = like
