// Package etag reads the conditional headers of HTTP. It makes no tags.
package etag

import "strings"

// Holds reads If-None-Match (RFC 9110, 13.1.2), which compares weakly: whether a
// caller has what tag names.
func Holds(lines []string, tag string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			item = strings.TrimSpace(item)
			if item == "*" || strings.TrimPrefix(item, "W/") == tag {
				return true
			}
		}
	}
	return false
}
