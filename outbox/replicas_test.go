package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"kakehashi/internal/watch"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// seat is a replica's name in a test; it is never alone.
type seat struct {
	mu sync.Mutex
	id string
}

func (s *seat) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

func (s *seat) Alone() bool { return false }

func (s *seat) rename(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = id
}

// told keeps the hints of a queue.
type told chan watch.Change

func (t told) Publish(c watch.Change) { t <- c }

// beside gives a queue of another replica on db, running.
func beside(t *testing.T, db store.DB, id string, do Handler, change func(*Config)) (*Queue, *seat) {
	t.Helper()
	s := &seat{id: id}
	q := queue(t, db, func(c *Config) {
		c.Replicas = s
		if change != nil {
			change(c)
		}
	})
	q.Handle("k", do)
	run(t, q)
	return q, s
}

func pass(t *testing.T, db store.DB, q *Queue, from, to string) (n int) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) (err error) {
		n, err = q.Pass(tx, from, to)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func reload(t *testing.T, q *Queue) {
	t.Helper()
	if err := q.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// never fails a test whose job is done where it must not be.
func never(t *testing.T, who string) Handler {
	return func(_ context.Context, j Job) (func(store.Tx) error, error) {
		t.Errorf("%s does job %s", who, j.ID)
		return nil, nil
	}
}

func TestALaneHasOneOwnerAtATime(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	begun, end, second := make(chan string, 10), make(chan struct{}), make(chan string, 10)
	a, _ := beside(t, db, "a", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		begun <- j.ID
		<-end
		return nil, nil
	}, nil)
	b, _ := beside(t, db, "b", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		second <- j.ID
		return nil, nil
	}, nil)
	put(t, a, job("lane", "1"))
	a.Wake("lane")
	get(t, begun)
	put(t, b, job("lane", "2"), job("other lane", "x"))
	b.Wake("lane")
	b.Wake("other lane")
	if got := get(t, second); got != "x" { // lanes of others do not wait
		t.Fatalf("job %s overtakes another replica's", got)
	}
	put(t, a, job("lane", "3"))
	a.Wake("lane")
	close(end)
	if got := get(t, second); got != "2" {
		t.Errorf("then %s", got)
	}
	if got := get(t, begun); got != "3" {
		t.Errorf("then %s", got)
	}
	if left := rows(t, db); len(left) > 1 {
		t.Errorf("left: %v", left)
	}
}

func TestOrderIsThatOfTheRowsWhateverTheClocksSay(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	done := make(chan string, 10)
	record := func(who string) Handler {
		return func(_ context.Context, j Job) (func(store.Tx) error, error) {
			done <- who + j.ID
			return nil, nil
		}
	}
	a, _ := beside(t, db, "a", record("a"), nil)
	slow := func(c *Config) { c.Now = func() time.Time { return time.Now().Add(-time.Hour) } }
	b, _ := beside(t, db, "b", record("b"), slow)
	put(t, a, job("lane", "1"))
	put(t, b, job("lane", "2")) // an hour earlier by its clock
	put(t, a, job("lane", "3"))
	b.Wake("lane")
	a.Wake("lane")
	for _, want := range []string{"a1", "b2", "a3"} {
		if got := get(t, done); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestWhatIsTakenOverIsDoneByTheNewOwnerOnly(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	var mu sync.Mutex
	effects := map[string]int{}
	effect := func(tx store.Tx, who string) error {
		tx.AfterCommit(func() {
			mu.Lock()
			defer mu.Unlock()
			effects[who]++
		})
		return nil
	}
	begun, end := make(chan struct{}), make(chan struct{})
	a, _ := beside(t, db, "a", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		if j.ID != "1" {
			t.Errorf("a does %s, which is not its own any more", j.ID)
		}
		close(begun)
		<-end
		return func(tx store.Tx) error { return effect(tx, "a") }, nil
	}, nil)
	done, over := make(chan string, 10), make(chan struct{})
	b, _ := beside(t, db, "b", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		<-over
		return func(tx store.Tx) error {
			tx.AfterCommit(func() { done <- j.ID })
			return effect(tx, "b")
		}, nil
	}, nil)
	put(t, a, job("one", "1"), job("one", "2"), job("two", "3"))
	a.Wake("one")
	get(t, begun)
	if n := pass(t, db, b, "a", "b"); n != 3 {
		t.Fatalf("%d jobs moved", n)
	}
	reload(t, b)
	a.Wake("two")
	close(end) // the lapsed owner ends its attempt first: its effect does not count
	for a.Stats().Running > 0 {
		runtime.Gosched()
	}
	reload(t, a)
	if left := rows(t, db); len(left) != 3 {
		t.Errorf("after the lapsed owner: %v", left)
	}
	close(over)
	got := map[string]bool{get(t, done): true, get(t, done): true, get(t, done): true}
	if len(got) != 3 {
		t.Errorf("done: %v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if effects["a"] != 0 || effects["b"] != 3 {
		t.Errorf("effects %v", effects)
	}
}

func TestAReplicaThatCameBackGoesOnUnderItsNewName(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	done := make(chan string, 10)
	a, s := beside(t, db, "a", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		return func(tx store.Tx) error { tx.AfterCommit(func() { done <- j.ID }); return nil }, nil
	}, func(c *Config) { c.Hold = time.Hour })
	put(t, a, job("lane", "1"))
	s.rename("a2")
	pass(t, db, a, "a", "a2")
	reload(t, a)
	put(t, a, job("lane", "2"))
	a.Wake("lane")
	for _, want := range []string{"1", "2"} {
		if got := get(t, done); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAJobThatWasDroppedElsewhereIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	tried, gone := make(chan string, 10), make(chan struct{})
	a, _ := beside(t, db, "a", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		tried <- j.ID
		if j.ID == "1" {
			<-gone
			return nil, errors.New("no answer")
		}
		return nil, nil
	}, nil)
	hints := make(told, 10)
	b, _ := beside(t, db, "b", never(t, "b"), func(c *Config) { c.Watch = hints })
	put(t, a, job("lane", "1"), job("lane", "2"))
	a.Wake("lane")
	get(t, tried)
	if err := db.Update(t.Context(), func(tx store.Tx) error { return b.Drop(tx, tokyo, "lane", "1") }); err != nil {
		t.Fatal(err)
	}
	if c := get(t, hints); c.Kind != LaneKind || c.ID != "lane" || c.Participant != tokyo {
		t.Errorf("told %+v", c)
	}
	close(gone)
	if got := get(t, tried); got != "2" {
		t.Errorf("%s is tried again", got)
	}
}

func TestPeopleRetryAndEndAtAnyReplica(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	parked := make(chan struct{}, 10)
	a, _ := beside(t, db, "a", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		parked <- struct{}{}
		return nil, Permanent(errors.New("refused"))
	}, nil)
	done := make(chan string, 10)
	hints := make(told, 10)
	b, _ := beside(t, db, "b", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		return func(tx store.Tx) error { tx.AfterCommit(func() { done <- j.ID }); return nil }, nil
	}, func(c *Config) { c.Watch = hints })
	put(t, a, job("lane", "1"), job("ended", "2"))
	a.Wake("lane")
	a.Wake("ended")
	get(t, parked)
	get(t, parked)
	for n := 0; n < 2; {
		jobs, err := a.Parked(t.Context(), tokyo)
		if err != nil {
			t.Fatal(err)
		}
		n = len(jobs)
	}
	if err := b.Retry(t.Context(), tokyo, "1"); err != nil {
		t.Fatal(err)
	}
	if got := get(t, done); got != "1" {
		t.Errorf("done: %s", got)
	}
	if err := b.End(t.Context(), tokyo, "2"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a.Heard(get(t, hints), false)
	}
	for a.Stats().Open > 0 { // until the test's deadline
		runtime.Gosched()
	}
}

func TestALaneOfANewerFormatIsLeftToWhoReadsIt(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	met := make(chan string, 10)
	old, _ := beside(t, db, "old", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		met <- j.ID
		return nil, Newer(errors.New("format 2"), 2)
	}, func(c *Config) { c.Format = 1 })
	done := make(chan string, 10)
	recent, _ := beside(t, db, "recent", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		done <- j.ID
		return nil, nil
	}, func(c *Config) { c.Format = 2 })
	put(t, old, job("lane", "1"), job("lane", "2"))
	old.Wake("lane")
	get(t, met)
	for { // it is given in a unit of its own
		if n := pass(t, db, recent, "", "recent"); n == 2 {
			break
		} else if n != 0 {
			t.Fatalf("%d jobs of the lane", n)
		}
	}
	reload(t, recent)
	for _, want := range []string{"1", "2"} {
		if got := get(t, done); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	put(t, old, job("lane", "3"))
	old.Wake("lane")
	get(t, met)
	for old.Stats().Open > 0 {
		runtime.Gosched()
	}
	if n := pass(t, db, old, "", "old"); n != 0 {
		t.Error("it takes back what it cannot read")
	}
	if len(met) != 0 {
		t.Errorf("it meets %s again", <-met)
	}
}

func TestManyReplicasDoEachJobOnceAndInOrder(t *testing.T) {
	t.Parallel()
	const replicas, lanes, each = 3, 20, 10
	db := storetest.Open(t, Schema)
	var mu sync.Mutex
	got := map[string][]string{}
	var all sync.WaitGroup
	all.Add(lanes * each)
	var queues []*Queue
	for i := range replicas {
		q, _ := beside(t, db, fmt.Sprint("r", i), func(_ context.Context, j Job) (func(store.Tx) error, error) {
			mu.Lock()
			got[j.Lane] = append(got[j.Lane], j.ID) // not after its commit: what runs then is in no order
			mu.Unlock()
			return func(tx store.Tx) error {
				tx.AfterCommit(all.Done)
				return nil
			}, nil
		}, nil)
		queues = append(queues, q)
	}
	for n := range each {
		for l := range lanes {
			q := queues[(n+l)%replicas]
			name := fmt.Sprint("lane ", l)
			put(t, q, job(name, fmt.Sprintf("%02d of %d", n, l)))
			q.Wake(name)
		}
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	for name, order := range got {
		if len(order) != each {
			t.Fatalf("%s: %d attempts: %v", name, len(order), order)
		}
		for n, id := range order {
			if want := fmt.Sprintf("%02d of", n); id[:5] != want {
				t.Fatalf("%s: %v", name, order)
			}
		}
	}
	if left := rows(t, db); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
