package catalog

import "slices"

// HTTPPull is the format under which every connector knows a pull over HTTP.
const HTTPPull = "HttpData-PULL"

// AlsoHTTP says that what a service serves as format can be had as
// HttpData-PULL too, at the same base: its datasets in that format are shown
// with both. It is for the start of a node, before anything is asked.
func (r *Room) AlsoHTTP(service, format string) {
	r.mu.Lock()
	r.http[service] = format
	r.mu.Unlock()
}

// alsoHTTP adds HttpData-PULL to a dataset that was read.
func (r *Room) alsoHTTP(d *Dataset) {
	r.mu.RLock()
	format := r.http[d.Service]
	r.mu.RUnlock()
	if format != "" && slices.Contains(d.Formats, format) && !slices.Contains(d.Formats, HTTPPull) {
		d.Formats = append(slices.Clone(d.Formats), HTTPPull)
	}
}
