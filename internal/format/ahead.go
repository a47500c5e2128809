//go:build kakehashi_ahead

package format

// ahead makes a program of the next format, for tests that run two beside each
// other.
const ahead = 1
