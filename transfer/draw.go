package transfer

import (
	"fmt"
	"strings"
)

// Markdown is the table for people: who may send what, when, and what it leads
// to. docs/architecture.md holds it; a test compares.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| From | Message | Sender | To |\n|---|---|---|---|\n")
	for _, r := range rules {
		sender := string(r.sender)
		if sender == "" {
			sender = "either"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name(r.from), r.kind, sender, r.to)
	}
	return b.String()
}

// Mermaid is the same table as a state diagram.
func Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	for _, r := range rules {
		sender := "C/P"
		switch r.sender {
		case Consumer:
			sender = "C"
		case Provider:
			sender = "P"
		}
		from := string(r.from)
		if r.from == None {
			from = "[*]"
		}
		fmt.Fprintf(&b, "    %s --> %s: %s %s\n", from, r.to, sender, r.kind)
	}
	for _, s := range States {
		if s.Final() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	return b.String()
}

func name(s State) string {
	if s == None {
		return "(none)"
	}
	return string(s)
}
