package strictjson

import (
	"errors"
	"strings"
	"testing"
)

type sample struct {
	Name string `json:"name"`
	List []struct {
		N int `json:"n"`
	} `json:"list,omitempty"`
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, pointer, reason string }{
		{"doubled member", `{"name":"a","name":"b"}`, "/name", "doubled"},
		{"unknown member", `{"nome":"a"}`, "/nome", "unknown member"},
		{"other case is unknown", `{"Name":"a"}`, "/Name", "unknown member"},
		{"trailing data", `{"name":"a"} {}`, "", ""},
		{"wrong kind deep inside", `{"list":[{"n":"x"}]}`, "/list/0/n", ""},
		{"invalid UTF-8", "{\"name\":\"\xff\"}", "/name", "UTF-8"},
		{"too deep", strings.Repeat("[", MaxDepth+1), "", "nested deeper"},
		{"empty", ``, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var v sample
			var e *Error
			if err := Decode([]byte(c.in), &v); !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !strings.HasPrefix(e.Pointer, c.pointer) && c.pointer != "" {
				t.Errorf("pointer %q, want %q", e.Pointer, c.pointer)
			}
			if !strings.Contains(e.Reason, c.reason) {
				t.Errorf("reason %q, want %q in it", e.Reason, c.reason)
			}
		})
	}
}

func TestDecodeOpenPassesOverFurtherMembers(t *testing.T) {
	t.Parallel()
	var v sample
	if err := DecodeOpen([]byte(`{"name":"a","more":{"x":1}}`), &v); err != nil || v.Name != "a" {
		t.Fatalf("got %+v, %v", v, err)
	}
	if err := DecodeOpen([]byte(`{"name":"a","more":{"x":1,"x":2}}`), &v); err == nil {
		t.Fatal("a doubled name inside an unknown member was accepted")
	}
}

func TestReadStopsAtTheLimit(t *testing.T) {
	t.Parallel()
	if _, err := Read(strings.NewReader("12345"), 4); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	if b, err := Read(strings.NewReader("1234"), 4); err != nil || string(b) != "1234" {
		t.Fatalf("got %q, %v", b, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"a","list":[{"n":1}]}`))
	f.Add([]byte(`{"name":"a","name":"b"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v sample
		if Decode(b, &v) != nil {
			return
		}
		out, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		var again sample
		if err := Decode(out, &again); err != nil {
			t.Fatalf("our own output %s is refused: %v", out, err)
		}
	})
}
