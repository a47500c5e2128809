package process

// Asking says where the node decides by itself and where it asks a person or the
// firm's own work-flow.
type Asking string

const (
	// Automatic agrees to what was offered, by the rules; other terms are refused.
	Automatic Asking = ""
	// Ask has somebody decide on the terms; the steps that only confirm them
	// follow by themselves.
	Ask Asking = "ask"
	// EachStep has somebody decide on every step of ours.
	EachStep Asking = "each-step"
)

// AskingOf reads a name as people write it; ok is false for one that is none.
func AskingOf(name string) (a Asking, ok bool) {
	switch a := Asking(name); a {
	case Automatic, Ask, EachStep:
		return a, true
	case "automatic":
		return Automatic, true
	}
	return "", false
}
