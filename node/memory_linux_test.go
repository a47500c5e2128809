//go:build !race

package node

// mostOfConnection is the memory that one connection may take, in bytes.
const mostOfConnection = 64 << 10
