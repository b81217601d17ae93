package again

import (
	"context"
	"errors"
	"testing"
	"time"
)

var errDown = errors.New("down")

// failing fails so many times, then works.
func failing(times int) func(context.Context) error {
	return func(context.Context) error {
		if times == 0 {
			return nil
		}
		times--
		return errDown
	}
}

// note keeps pauses instead of sleeping.
func note(pauses *[]time.Duration) sleeper {
	return func(ctx context.Context, pause time.Duration) error {
		*pauses = append(*pauses, pause)
		return ctx.Err()
	}
}

func TestPausesDoubleUpToTheLongest(t *testing.T) {
	var pauses []time.Duration
	p := Policy{First: time.Second, Most: 5 * time.Second}
	if err := p.do(context.Background(), failing(5), note(&pauses)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{1, 2, 4, 5, 5} {
		if pauses[i] != want*time.Second {
			t.Errorf("pause %d is %v, want %v", i+1, pauses[i], want*time.Second)
		}
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	var pauses []time.Duration
	p := Policy{First: time.Second, Attempts: 3}
	err := p.do(context.Background(), failing(9), note(&pauses))
	if !errors.Is(err, errDown) || len(pauses) != 2 {
		t.Fatalf("%v after %d pauses", err, len(pauses))
	}
}

func TestPermanentErrorsEndIt(t *testing.T) {
	var pauses []time.Duration
	gone := errors.New("gone")
	err := Policy{First: time.Second}.do(context.Background(), func(context.Context) error {
		return Permanent(gone)
	}, note(&pauses))
	if err != gone || len(pauses) != 0 {
		t.Fatalf("%v after %d pauses", err, len(pauses))
	}
	if Permanent(nil) != nil {
		t.Fatal("no error became one")
	}
}

func TestTheContextEndsIt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := Policy{First: time.Hour}.Do(ctx, failing(1))
	if !errors.Is(err, errDown) {
		t.Fatal(err)
	}
}

func TestJitterOnlyShortens(t *testing.T) {
	p := Policy{First: 8 * time.Second, Jitter: 0.5, Random: func() float64 { return 0.5 }}
	if pause := p.pause(1); pause != 6*time.Second {
		t.Fatal(pause)
	}
}
