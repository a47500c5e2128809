package main

import (
	"fmt"
	"strings"

	"kakehashi/conformance/script"
)

// areas are the parts of the kit in the order of the document.
var areas = []struct{ prefix, title string }{
	{"MET:", "Versions"}, {"CAT:", "Catalogue"}, {"CN:", "Negotiation, our node provides"}, {"CN_C:", "Negotiation, our node consumes"},
	{"TP:", "Transfer, our node provides"}, {"TP_C:", "Transfer, our node consumes"},
}

// document is docs/conformance.md: each case with what the kit said.
func document(version string, o outcome, all []script.Conversation) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Conformance

Written by `+"`make tck UPDATE=1`"+` from a run of the Dataspace Protocol's official compatibility kit
(Eclipse Dataspace TCK, `+"`org.eclipse.dataspacetck.dsp`"+` %s) against `+"`kakehashi serve`"+`.

**%d cases: %d passed, %d failed, %d skipped, %d switched off by the kit itself.**

## How to run it

`+"`make tck`"+` needs Go, a JDK of 17 or newer and Maven with a registry that serves the kit; where one of them is
missing it says so and ends with the code 77 (make itself with 2), which is no success. It builds the program, makes a node with
`+"`kakehashi init`"+`, starts it with `+"`kakehashi serve`"+`, and runs the kit, which takes about a minute.
`+"`make tck REPEAT=3`"+` runs everything three times. The node under test is the product: what the kit wants of it comes
over public hooks only, by the harness in `+"`conformance/harness`"+`. Datasets and agreements come over the management API,
our side's decisions over the decision webhook and the event stream, and the kit's unproven identity is an
`+"`identity_template`"+`. What our side decides in a case stands in its file in `+"`conformance/conversations`"+`. The logs
of the node, the harness and the kit lie in a folder that the run names; after a failure they stay there.
`, version, o.counts.Found, o.counts.Pass, o.counts.Fail, o.counts.Skip, o.counts.Disabled)
	for _, a := range areas {
		fmt.Fprintf(&b, "\n## %s\n\n| case | what happens | result |\n|---|---|---|\n", a.title)
		for _, c := range all {
			if !strings.HasPrefix(c.ID, a.prefix) {
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", c.ID, strings.TrimPrefix(strings.TrimPrefix(c.Title, "We are the provider. "), "We are the consumer. "), verdict(o, c))
		}
	}
	return b.String()
}

func verdict(o outcome, c script.Conversation) string {
	switch ok, ran := o.cases[c.ID]; {
	case ran && ok:
		return "passed"
	case !ran && c.Disabled != "":
		return "switched off by the kit: " + c.Disabled
	case !ran:
		return "**did not run**"
	}
	return "**failed**"
}
