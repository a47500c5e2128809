//go:build !kakehashi_ahead

package format

const ahead = 0
