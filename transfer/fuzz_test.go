package transfer

import (
	"bytes"
	"net/http"
	"testing"

	"kakehashi/process"
)

// FuzzAddressed reads any kept message as the address of a push: what is taken
// can be called.
func FuzzAddressed(f *testing.F) {
	const head = `{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"TransferRequestMessage","consumerPid":"c","agreementId":"a","format":"HttpData-PUSH","callbackAddress":"u","dataAddress":`
	f.Add([]byte(head + `{"endpointType":"x","endpoint":"https://c.example/in"}}`))
	f.Add([]byte(head + `{"endpointType":"HttpData","endpointProperties":[{"name":"https://w3id.org/edc/v0.0.1/ns/baseUrl","value":"https://c.example/in"},{"name":"header:X-A","value":"b"},{"name":"path","value":"/x"},{"name":"method","value":"put"},{"name":"authorization","value":"t"}]}}`))
	f.Add([]byte(head + `{"endpointType":"x","endpoint":"https://u:p@c.example/#f","endpointProperties":[{"name":"header:Host","value":"a\r\nb"}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := addressed(b)
		if err != nil {
			return
		}
		r, err := http.NewRequest(got.Method, got.URL, http.NoBody)
		if err != nil {
			t.Fatalf("%+v cannot be called: %v", got, err)
		}
		r.Header = got.Header
		var wire bytes.Buffer
		if err := r.Write(&wire); err != nil {
			t.Fatalf("%+v cannot be sent: %v", got, err)
		}
		if n := bytes.Count(bytes.ToLower(wire.Bytes()), []byte("\r\nhost:")); n != 1 {
			t.Fatalf("%d hosts in %q", n, wire.Bytes())
		}
	})
}

// FuzzKept reads any bytes as a kept process.
func FuzzKept(f *testing.F) {
	b, err := Process{Head: process.Head{ID: "x"}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":99}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(process.Head{ID: "x"}, b)
		if err != nil {
			return
		}
		out, err := p.Encode()
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		if _, err := decode(p.Head, out); err != nil {
			t.Fatalf("own output %s is refused: %v", out, err)
		}
	})
}
