// Package taskline is a line of tasks that wait to be done, the most urgent one first.
package taskline

import "errors"

// MostTries is how often a task is handed out at most.
const MostTries = 3

// Errors of a line.
var (
	ErrWaiting  = errors.New("a task of that name is waiting already")
	ErrUnknown  = errors.New("no task of that name is waiting")
	ErrGivenUp  = errors.New("the task was tried too often")
	ErrNotTaken = errors.New("the task was not handed out")
)

// Task is what waits in a line.
type Task struct {
	// ID names it.
	ID string
	// Priority is the higher, the more urgent it is.
	Priority int
	// Tries is how often it was handed out.
	Tries int
}
