package jws

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"testing"
)

func FuzzJoined(f *testing.F) {
	for _, r := range []int64{0, 1, 127, 128, 255, 256, 1 << 40} {
		b, err := asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(r), new(big.Int).Lsh(big.NewInt(1), 255)})
		if err != nil {
			f.Fatal(err)
		}
		if _, ok := joined(b, 32); !ok {
			f.Errorf("r = %d is refused", r)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		sig, ok := joined(der, 32)
		var want struct{ R, S *big.Int }
		rest, err := asn1.Unmarshal(der, &want)
		if err != nil || len(rest) > 0 || want.R.Sign() < 0 || want.S.Sign() < 0 || want.R.BitLen() > 256 || want.S.BitLen() > 256 {
			return // no signer gives this; the result must only be bounded
		}
		if back, err := asn1.Marshal(want); err != nil || !bytes.Equal(back, der) {
			return
		}
		if !ok || want.R.Cmp(new(big.Int).SetBytes(sig[:32])) != 0 || want.S.Cmp(new(big.Int).SetBytes(sig[32:])) != 0 {
			t.Fatalf("%x gives %x, %v", der, sig, ok)
		}
	})
}
