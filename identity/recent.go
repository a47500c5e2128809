package identity

import "container/list"

// recent keeps the n values that were last used. It is not safe for concurrent
// use; its owner holds a lock.
type recent[V any] struct {
	n     int
	order *list.List // of entry[V], the last used in front
	byKey map[string]*list.Element
}

type entry[V any] struct {
	key   string
	value V
}

func newRecent[V any](n int) *recent[V] {
	return &recent[V]{n: n, order: list.New(), byKey: map[string]*list.Element{}}
}

func (r *recent[V]) get(key string) (V, bool) {
	e, ok := r.byKey[key]
	if !ok {
		var zero V
		return zero, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*entry[V]).value, true
}

func (r *recent[V]) put(key string, v V) {
	if e, ok := r.byKey[key]; ok {
		e.Value.(*entry[V]).value = v
		r.order.MoveToFront(e)
		return
	}
	r.byKey[key] = r.order.PushFront(&entry[V]{key, v})
	if r.order.Len() > r.n {
		last := r.order.Back()
		r.order.Remove(last)
		delete(r.byKey, last.Value.(*entry[V]).key)
	}
}

func (r *recent[V]) drop(key string) {
	if e, ok := r.byKey[key]; ok {
		r.order.Remove(e)
		delete(r.byKey, key)
	}
}
