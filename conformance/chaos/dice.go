package main

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// dice are the decisions of one part of the harness. The seed and the part's name
// fix them, one after the other; when each falls depends on the machine.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newDice(seed uint64, name string) *dice {
	h := fnv.New64a()
	h.Write([]byte(name))
	return &dice{r: rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// roll gives a number in [0,1).
func (d *dice) roll() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Float64()
}

// pick gives one of n.
func (d *dice) pick(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

// between gives a time from least to most.
func (d *dice) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.roll()*float64(most-least))
}
