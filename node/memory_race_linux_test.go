//go:build race

package node

// mostOfConnection is the memory that one connection may take; the race detector
// keeps several times of it.
const mostOfConnection = 512 << 10
