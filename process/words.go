package process

import (
	"net/url"
	"strings"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// NoPid stands for a pid that is not known yet, where the schemas want one.
const NoPid = "urn:uuid:00000000-0000-0000-0000-000000000000"

// CheckAddress refuses an address of a counterpart that could never be called
// (fault.BadCallback). Which hosts may be called is for the guarded client.
func CheckAddress(address string) error {
	refuse := func(why string) error { return fault.BadCallback.At("/callbackAddress", "reason", why) }
	u, err := url.Parse(address)
	switch {
	case err != nil || address == "":
		return refuse("it is no URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return refuse("it is no absolute http or https URL")
	case u.User != nil:
		return refuse("it names a user")
	case u.RawQuery != "" || u.Fragment != "":
		return refuse("it has a query or a fragment")
	}
	return nil
}

// Words makes one line of a reason, whose items may be anything.
func Words(reason []any) string {
	var b strings.Builder
	for _, r := range reason {
		s, ok := r.(string)
		if !ok {
			raw, err := strictjson.Encode(r)
			if err != nil {
				continue
			}
			s = string(raw)
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(s)
	}
	return Clip(b.String())
}

// Clip keeps other people's words short enough for a leaf.
func Clip(s string) string {
	const most = 1000
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// Reply is the answer to a message. On an error the pids are set as far as they
// are known, for the protocol's error body, and Lanes as well: a refusal can be
// followed by a message of ours.
type Reply struct {
	Status      int
	Body        []byte   // the process object of DSP
	Lanes       []string // to Wake once the answer is flushed, also beside an error
	ConsumerPid string
	ProviderPid string
}
