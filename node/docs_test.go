package node

import (
	"flag"
	"os"
	"testing"

	"kakehashi/negotiation"
	"kakehashi/transfer"
)

var update = flag.Bool("update", false, "write the generated documents anew")

// docs/states.md is printed from the tables that the code runs on.
func TestTheDocumentShowsTheStates(t *testing.T) {
	t.Parallel()
	want := "# States\n\nPrinted from the tables that the code runs on (`negotiation.Table`, `transfer.Table`); a test compares. " +
		"What is not in a table is refused and changes nothing.\n\n" +
		"## Contract negotiation\n\n```mermaid\n" + negotiation.Table.Mermaid() + "```\n\n" + negotiation.Table.Markdown() +
		"\n## Transfer process\n\n```mermaid\n" + transfer.Table.Mermaid() + "```\n\n" + transfer.Table.Markdown()
	const path = "../docs/states.md"
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/states.md differs from the tables; run go test ./node -run States -update")
	}
}
