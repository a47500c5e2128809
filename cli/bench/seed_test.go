package bench

import (
	"bytes"
	"context"
	"testing"
	"testing/fstest"

	"kakehashi/store"
	"kakehashi/store/schema"
	"kakehashi/store/storetest"
)

func TestACopyHasIdsOfItsOwnAndKeepsWhatAllShare(t *testing.T) {
	t.Parallel()
	const own, shared = "01a20b8f-3e74-7258-be7e-392453d00d06", "01a20b8f-0000-7aaa-8000-000000000001"
	db := storetest.Open(t, store.Schema{Owner: "negotiation", Files: fstest.MapFS{"0001_init.sql": {Data: []byte(
		`CREATE TABLE negotiation_processes (participant TEXT NOT NULL, id TEXT NOT NULL, body BYTEA NOT NULL, digest BYTEA NOT NULL, peer TEXT, n BIGINT NOT NULL, PRIMARY KEY (participant, id));`)}}})
	digest := bytes.Repeat([]byte{7}, 32)
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		return tx.Exec(`INSERT INTO negotiation_processes (participant, id, body, digest, peer, n) VALUES ($1, $2, $3, $4, NULL, 5)`,
			"tokyo", "urn:uuid:"+own, []byte(`{"id":"`+own+`","dataset":"`+shared+`"}`), digest)
	}); err != nil {
		t.Fatal(err)
	}
	table := schema.Table{Name: "negotiation_processes", Columns: []schema.Column{{Name: "participant", Type: schema.Text}, {Name: "id", Type: schema.Text},
		{Name: "body", Type: schema.Bytes}, {Name: "digest", Type: schema.Bytes}, {Name: "peer", Type: schema.Text}, {Name: "n", Type: schema.Int}}, Key: []string{"participant", "id"}}
	all, err := patterns(t.Context(), engineOf{db}, table, map[string]bool{shared: true})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d rows, %v", len(all), err)
	}
	const copied = "00000001-2345-7258-be7e-392453d00d06"
	got := all[0].copy(0x12345)
	if got[0] != "tokyo" || got[1] != "urn:uuid:"+copied || got[4] != nil || got[5] != int64(5) {
		t.Errorf("row %v", got)
	}
	if body := string(got[2].([]byte)); body != `{"id":"`+copied+`","dataset":"`+shared+`"}` {
		t.Errorf("body %s", body)
	}
	if bytes.Equal(got[3].([]byte), digest) || bytes.Equal(got[3].([]byte), all[0].copy(2)[3].([]byte)) {
		t.Error("two copies have one digest")
	}
	if all[0].values[1] != "urn:uuid:"+own || !bytes.Equal(all[0].values[3].([]byte), digest) {
		t.Error("the pattern itself was changed")
	}
	for n := uint64(1); n < 4; n++ {
		if err := db.Update(context.WithoutCancel(t.Context()), func(tx store.Tx) error { return tx.Exec(all[0].insert, all[0].copy(n)...) }); err != nil {
			t.Fatalf("copy %d: %v", n, err)
		}
	}
}

// engineOf is a store whose tables the test knows.
type engineOf struct{ store.DB }

func (engineOf) Tables(store.Tx) ([]schema.Table, error) { return nil, nil }
func (engineOf) Close() error                            { return nil }
