package evidence

import (
	"math"
	"strings"

	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
)

// line follows one process through its versions.
type line struct {
	process string
	version int64 // of the leaves read last; -1: none yet
	last    int64 // highest position of that version
	before  int64 // highest position of the versions before it
}

// processes compares versions and positions within each process. Leaves of one
// version have no order among each other.
func (c *check) processes() error {
	var at line
	var process, id string
	for version := int64(-1); ; {
		rows, err := c.rows(selectInOrder, c.who(), process, version, id, checkRows)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		for _, w := range rows {
			if w.process != "" {
				if err := c.follow(&at, w); err != nil {
					return err
				}
			}
		}
		w := rows[len(rows)-1]
		process, version, id = w.process, w.version, w.id
	}
}

func (c *check) follow(at *line, w row) error {
	position := w.position
	if position < 0 {
		position = math.MaxInt64 // it comes after all that have one
	}
	if at.process != w.process {
		*at = line{process: w.process, version: -1, last: -1, before: -1}
	}
	if at.version != w.version {
		whole, err := c.whole(at, w)
		if err != nil {
			return err
		}
		if !whole {
			c.r.found(fault.LogVersion.At("", "participant", c.who(), "process", w.process, "version", w.version, "before", max(at.version, 0)))
		}
		at.version, at.before = w.version, max(at.before, at.last)
		at.last = -1
	}
	if position < at.before {
		c.r.found(fault.LogOrder.At("", "participant", c.who(), "process", w.process, "version", w.version, "position", w.position))
	}
	at.last = max(at.last, position)
	return nil
}

// whole says whether w may follow what was there. A step of a negotiation or
// transfer makes one version, or two when what came was answered in the same
// unit: its leaf names the message that was sent.
func (c *check) whole(at *line, w row) (bool, error) {
	gap := w.version - max(at.version, 0)
	stepped := strings.HasPrefix(w.typ, "kh.negotiation.") || strings.HasPrefix(w.typ, "kh.transfer.")
	if gap <= 1 || !stepped {
		return true, nil
	}
	if gap > 2 {
		return false, nil
	}
	var data []byte
	if err := c.tx.QueryRow(selectLeaf, c.who(), w.process, w.version, w.id).Scan(&data); err != nil {
		return false, err
	}
	leaf, err := bundle.ParseLeaf(data)
	return err == nil && leaf.Hashes["sending"] != "", nil
}
