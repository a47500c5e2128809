package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is the text that a log signs (C2SP tlog-checkpoint): its origin,
// how many leaves it has and the root over them.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// Text is the body of the signed note.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" +
		base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// ParseCheckpoint reads the body of a signed note; it does not check signatures.
func ParseCheckpoint(text string) (Checkpoint, error) {
	var c Checkpoint
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] == "" {
		return c, errors.New("checkpoint has too few lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return c, errors.New("checkpoint's size is not a decimal number")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize || base64.StdEncoding.EncodeToString(root) != lines[2] {
		return c, errors.New("checkpoint's root is not the base64 of 32 bytes")
	}
	c = Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}
	return c, nil
}

// OpenCheckpoint checks a signed note with one key and reads it. A note that
// the key did not sign is a *note.UnverifiedNoteError.
func OpenCheckpoint(b []byte, v note.Verifier) (Checkpoint, error) {
	n, err := note.Open(b, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := ParseCheckpoint(n.Text)
	if err == nil && c.Origin != v.Name() {
		err = fmt.Errorf("checkpoint of %q signed in the name of %q", c.Origin, v.Name())
	}
	return c, err
}

// LogKey is the key of a log as a vkey (C2SP signed-note): its name is the origin.
func LogKey(origin string, pub ed25519.PublicKey) (string, error) {
	return note.NewEd25519VerifierKey(origin, pub)
}

const proofHead = "c2sp.org/tlog-proof@v1\n"

// Proof is a C2SP tlog-proof: the leaf at Index is in the log that signed Note.
type Proof struct {
	Index  int64
	Hashes tlog.RecordProof
	Note   []byte // the signed checkpoint
}

// Marshal gives the text of the proof.
func (p Proof) Marshal() []byte {
	b := make([]byte, 0, len(proofHead)+32+45*len(p.Hashes)+len(p.Note))
	b = append(b, proofHead...)
	b = append(b, "index "...)
	b = append(strconv.AppendInt(b, p.Index, 10), '\n')
	for _, h := range p.Hashes {
		b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
	}
	b = append(b, '\n')
	return append(b, p.Note...)
}

// ParseProof reads what Marshal writes; it checks the form only. An "extra"
// line is refused: nothing would vouch for it.
func ParseProof(b []byte) (Proof, error) {
	var p Proof
	rest, ok := bytes.CutPrefix(b, []byte(proofHead))
	if !ok {
		return p, errors.New("not a tlog-proof of version 1")
	}
	head, note, ok := bytes.Cut(rest, []byte("\n\n"))
	if !ok {
		return p, errors.New("proof has no checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	num, ok := strings.CutPrefix(lines[0], "index ")
	i, err := strconv.ParseInt(num, 10, 64)
	if !ok || err != nil || i < 0 || strconv.FormatInt(i, 10) != num {
		return p, errors.New("proof has no valid index")
	}
	if len(lines) > 64 {
		return p, errors.New("proof has more than 63 hashes")
	}
	p = Proof{Index: i, Note: note}
	for _, s := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil || len(h) != tlog.HashSize || len(s) != 44 {
			return p, errors.New("proof holds a line that is no hash")
		}
		p.Hashes = append(p.Hashes, tlog.Hash(h))
	}
	return p, nil
}
