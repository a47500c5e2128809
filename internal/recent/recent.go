// Package recent is a bounded memory of what was read or written last. What it
// forgets is read again, so it is only for values that something else keeps and
// that are checked when they are used (a version, a digest).
package recent

import "sync"

// Of remembers at most its limit of values. The zero value is not usable.
type Of[K comparable, V any] struct {
	mu    sync.Mutex
	limit int
	// Two generations: what is used lives on, a full new one retires the old.
	fresh, stale map[K]V
}

// New remembers at least limit and at most twice as many values.
func New[K comparable, V any](limit int) *Of[K, V] {
	return &Of[K, V]{limit: max(limit, 1), fresh: map[K]V{}}
}

// Get gives what was put last under k, unless it was forgotten.
func (o *Of[K, V]) Get(k K) (V, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if v, ok := o.fresh[k]; ok {
		return v, true
	}
	v, ok := o.stale[k]
	if ok {
		o.put(k, v)
	}
	return v, ok
}

// GetOrPut gives what is remembered under k, else it remembers v and gives it:
// two who ask at once get the same.
func (o *Of[K, V]) GetOrPut(k K, v V) V {
	o.mu.Lock()
	defer o.mu.Unlock()
	old, ok := o.fresh[k]
	if !ok {
		if old, ok = o.stale[k]; !ok {
			old = v
		}
		o.put(k, old)
	}
	return old
}

// Put remembers v under k.
func (o *Of[K, V]) Put(k K, v V) {
	o.mu.Lock()
	o.put(k, v)
	o.mu.Unlock()
}

// PutNewer remembers v under k unless older says that v is older than what is
// remembered: a value that was read before another was written may come after it.
func (o *Of[K, V]) PutNewer(k K, v V, older func(old V) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old, ok := o.fresh[k]
	if !ok {
		old, ok = o.stale[k]
	}
	if !ok || !older(old) {
		o.put(k, v)
	}
}

func (o *Of[K, V]) put(k K, v V) {
	if len(o.fresh) >= o.limit {
		o.fresh, o.stale = map[K]V{}, o.fresh
	}
	o.fresh[k] = v
}

// ForgetIf drops what is remembered under k if stale says so.
func (o *Of[K, V]) ForgetIf(k K, stale func(V) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.fresh[k]
	if !ok {
		v, ok = o.stale[k]
	}
	if ok && stale(v) {
		delete(o.fresh, k)
		delete(o.stale, k)
	}
}

// Clear drops everything.
func (o *Of[K, V]) Clear() {
	o.mu.Lock()
	o.fresh, o.stale = map[K]V{}, nil
	o.mu.Unlock()
}

// Forget drops k.
func (o *Of[K, V]) Forget(k K) {
	o.mu.Lock()
	delete(o.fresh, k)
	delete(o.stale, k)
	o.mu.Unlock()
}
