package taskline

import "container/heap"

// Line holds tasks that wait. The zero value is an empty one.
type Line struct {
	queue queue
	// Where each waiting task is in the queue, by ID.
	waiting map[string]*place
}

// Add puts a new task into the line.
func (l *Line) Add(id string, priority int) error {
	return l.put(Task{ID: id, Priority: priority})
}

// Next takes out the task that is to be done now. False where none waits.
func (l *Line) Next() (Task, bool) {
	if len(l.queue) == 0 {
		return Task{}, false
	}
	first := heap.Pop(&l.queue).(*place)
	delete(l.waiting, first.task.ID)
	first.task.Tries++
	return first.task, true
}

// Retry puts a task back that was handed out and failed.
func (l *Line) Retry(task Task) error {
	if task.Tries == 0 {
		return ErrNotTaken
	}
	if task.Tries >= MostTries {
		return ErrGivenUp
	}
	return l.put(task)
}

// Raise gives a waiting task another priority.
func (l *Line) Raise(id string, priority int) error {
	place, ok := l.waiting[id]
	if !ok {
		return ErrUnknown
	}
	place.task.Priority = priority
	heap.Fix(&l.queue, place.index)
	return nil
}

// Drop takes out a waiting task.
func (l *Line) Drop(id string) error {
	place, ok := l.waiting[id]
	if !ok {
		return ErrUnknown
	}
	heap.Remove(&l.queue, place.index)
	delete(l.waiting, id)
	return nil
}

// Len is how many tasks wait.
func (l *Line) Len() int {
	return len(l.queue)
}

func (l *Line) put(task Task) error {
	if _, ok := l.waiting[task.ID]; ok {
		return ErrWaiting
	}
	if l.waiting == nil {
		l.waiting = make(map[string]*place)
	}
	place := &place{task: task}
	l.waiting[task.ID] = place
	heap.Push(&l.queue, place)
	return nil
}
