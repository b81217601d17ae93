// Package again tries something until it works, with a pause that doubles each time.
package again

import (
	"math/rand"
	"time"
)

// Policy says how often something is tried, and how long the pauses are.
type Policy struct {
	// First is the pause after the first failure.
	First time.Duration
	// Most is the longest pause. Zero is no bound.
	Most time.Duration
	// Attempts is how often it is tried altogether. Zero is until it works.
	Attempts int
	// Jitter, from 0 to 1, is the part of a pause that is left to chance.
	Jitter float64

	// Random answers numbers from 0 up to 1. Nil is the one of math/rand.
	Random func() float64
}

// Delay is the pause after the n-th failure, counted from one, before chance has shortened it.
func (p Policy) Delay(n int) time.Duration {
	if n < 1 || p.First <= 0 {
		return 0
	}
	delay := p.First << (n - 1)
	if p.Most > 0 && delay > p.Most {
		return p.Most
	}
	return delay
}

// pause is Delay, shortened by chance.
func (p Policy) pause(n int) time.Duration {
	delay := p.Delay(n)
	if p.Jitter <= 0 {
		return delay
	}
	random := p.Random
	if random == nil {
		random = rand.Float64
	}
	return delay - time.Duration(random()*min(p.Jitter, 1)*float64(delay))
}
