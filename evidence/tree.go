package evidence

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// tile is a stored tile: hashes that follow each other at one level.
type tile struct {
	level int
	n     int64
	data  []byte
}

// tree is the right edge of a log: all that is needed to grow it. It is never
// changed; grow makes a new one.
type tree struct {
	size int64
	root tlog.Hash
	edge [][]byte // edge[l] is the partial tile of level l, (size >> 8l) mod 256 hashes
}

// emptyTree is the log before its first leaf; its root is SHA-256 of nothing
// (RFC 6962, 2.1).
func emptyTree() tree {
	root, err := tlog.TreeHash(0, nil)
	if err != nil {
		return tree{}
	}
	return tree{root: root}
}

// widths are the widths of the partial tiles of a log of this size, by level.
func widths(size int64) []int {
	var w []int
	for ; size > 0; size >>= tileHeight {
		w = append(w, int(size&(tileWidth-1)))
	}
	return w
}

// grow appends leaf hashes and gives the tiles that are new or longer.
func (t tree) grow(hashes []tlog.Hash) (tree, []tile, error) {
	next := tree{size: t.size, edge: make([][]byte, len(t.edge), len(t.edge)+1)}
	for l, e := range t.edge {
		next.edge[l] = append(make([]byte, 0, tileWidth*tlog.HashSize), e...)
	}
	var tiles []tile
	dirty := make([]bool, len(t.edge), len(t.edge)+1)
	for _, h := range hashes {
		next.size++
		for l := 0; ; l++ {
			if l == len(next.edge) {
				next.edge = append(next.edge, make([]byte, 0, tileWidth*tlog.HashSize))
				dirty = append(dirty, false)
			}
			next.edge[l] = append(next.edge[l], h[:]...)
			dirty[l] = true
			full := next.edge[l]
			if len(full) < tileWidth*tlog.HashSize {
				break
			}
			tiles = append(tiles, tile{l, next.size>>(tileHeight*(l+1)) - 1, full})
			next.edge[l] = make([]byte, 0, tileWidth*tlog.HashSize)
			dirty[l] = false
			h = newNodes(full)[tileHeight][0]
		}
	}
	for l, e := range next.edge {
		if dirty[l] && len(e) > 0 {
			tiles = append(tiles, tile{l, next.size >> (tileHeight * (l + 1)), e})
		}
	}
	var err error
	next.root, err = next.hash()
	return next, tiles, err
}

// hash computes the root from the edge.
func (t tree) hash() (tlog.Hash, error) {
	return tlog.TreeHash(t.size, newReader(func(level int, n int64) ([]byte, error) {
		if level >= len(t.edge) || n != t.size>>(tileHeight*(level+1)) {
			return nil, fmt.Errorf("tile %d/%d is not at the edge", level, n)
		}
		return t.edge[level], nil
	}))
}

// nodes are all hashes inside a tile: nodes[j][i] covers entries i<<j to (i+1)<<j.
type nodes [tileHeight + 1][]tlog.Hash

func newNodes(data []byte) *nodes {
	var t nodes
	row := make([]tlog.Hash, len(data)/tlog.HashSize)
	for i := range row {
		row[i] = tlog.Hash(data[i*tlog.HashSize:])
	}
	t[0] = row
	for j := 1; j <= tileHeight && len(row) > 1; j++ {
		up := make([]tlog.Hash, len(row)/2)
		for i := range up {
			up[i] = tlog.NodeHash(row[2*i], row[2*i+1])
		}
		t[j], row = up, up
	}
	return &t
}

// reader serves the hashes of a log from its tiles, each read and hashed once.
// It is for one goroutine.
type reader struct {
	load  func(level int, n int64) ([]byte, error)
	tiles map[[2]int64]*nodes
	key   [2]int64 // of last, the tile that served the hash before: a proof climbs inside one
	last  *nodes
}

func newReader(load func(level int, n int64) ([]byte, error)) *reader {
	return &reader{load: load, tiles: map[[2]int64]*nodes{}}
}

// ReadHashes implements tlog.HashReader.
func (r *reader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for k, x := range indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		l, j := level/tileHeight, level%tileHeight
		at := n << j // first entry of the tile's level below it
		key := [2]int64{int64(l), at >> tileHeight}
		if r.last == nil || r.key != key {
			t, ok := r.tiles[key]
			if !ok {
				data, err := r.load(l, key[1])
				if err != nil {
					return nil, err
				}
				t = newNodes(data)
				r.tiles[key] = t
			}
			r.key, r.last = key, t
		}
		t := r.last
		i := n & (1<<(tileHeight-j) - 1)
		if i >= int64(len(t[j])) {
			return nil, fmt.Errorf("tile %d/%d is too short", l, key[1])
		}
		out[k] = t[j][i]
	}
	return out, nil
}
