package again

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Do calls try until it answers no error, or one that is permanent, or there are no attempts left, or the context ends.
// The error is then that of the last call.
func (p Policy) Do(ctx context.Context, try func(context.Context) error) error {
	return p.do(ctx, try, sleep)
}

func (p Policy) do(ctx context.Context, try func(context.Context) error, sleep sleeper) error {
	for n := 1; ; n++ {
		err := try(ctx)
		if err == nil {
			return nil
		}
		var permanent *permanentError
		if errors.As(err, &permanent) {
			return permanent.err
		}
		if p.Attempts > 0 && n >= p.Attempts {
			return fmt.Errorf("after %d attempts: %w", n, err)
		}
		if sleep(ctx, p.pause(n)) != nil {
			return fmt.Errorf("ended after %d attempts: %w", n, err)
		}
	}
}

// sleeper waits, and answers an error if the context ended before.
type sleeper func(context.Context, time.Duration) error

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks an error after which nothing is tried again. Nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}
