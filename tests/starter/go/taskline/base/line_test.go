package taskline

import (
	"errors"
	"strings"
	"testing"
)

// added puts tasks into a new line, named by single letters, all at one priority.
func added(t *testing.T, ids string, priority int) *Line {
	t.Helper()
	var line Line
	for _, id := range ids {
		if err := line.Add(string(id), priority); err != nil {
			t.Fatal(err)
		}
	}
	return &line
}

// emptied takes everything out and answers the names in that order.
func emptied(line *Line) string {
	var ids strings.Builder
	for line.Len() > 0 {
		task, _ := line.Next()
		ids.WriteString(task.ID)
	}
	return ids.String()
}

func TestTheMostUrgentOneIsNext(t *testing.T) {
	var line Line
	for id, priority := range map[string]int{"a": 1, "b": 5, "c": 3, "d": -2, "e": 4} {
		line.Add(id, priority)
	}
	if got := emptied(&line); got != "becad" {
		t.Fatal(got)
	}
}

func TestAnEmptyLineHasNoNext(t *testing.T) {
	var line Line
	if task, ok := line.Next(); ok {
		t.Fatal(task)
	}
}

func TestATaskStandsInTheLineOnce(t *testing.T) {
	line := added(t, "a", 0)
	if err := line.Add("a", 7); !errors.Is(err, ErrWaiting) {
		t.Fatal(err)
	}
	line.Next()
	if err := line.Add("a", 7); err != nil {
		t.Fatal(err)
	}
}

func TestARaisedTaskComesFirst(t *testing.T) {
	line := added(t, "abc", 0)
	if err := line.Raise("c", 1); err != nil {
		t.Fatal(err)
	}
	if task, _ := line.Next(); task.ID != "c" || task.Priority != 1 {
		t.Fatal(task)
	}
	if err := line.Raise("c", 2); !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
}

func TestTriesAreCounted(t *testing.T) {
	line := added(t, "a", 0)
	for try := 1; try < MostTries; try++ {
		task, _ := line.Next()
		if task.Tries != try {
			t.Fatal(task)
		}
		if err := line.Retry(task); err != nil {
			t.Fatal(err)
		}
	}
	task, _ := line.Next()
	if err := line.Retry(task); !errors.Is(err, ErrGivenUp) {
		t.Fatal(err)
	}
	if err := line.Retry(Task{ID: "new"}); !errors.Is(err, ErrNotTaken) {
		t.Fatal(err)
	}
}

func TestADroppedTaskIsGone(t *testing.T) {
	line := added(t, "a", 0)
	if err := line.Drop("a"); err != nil {
		t.Fatal(err)
	}
	if err := line.Drop("a"); !errors.Is(err, ErrUnknown) || line.Len() != 0 {
		t.Fatal(err)
	}
}
