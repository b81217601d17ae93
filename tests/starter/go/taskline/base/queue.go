package taskline

// place is where a waiting task stands.
type place struct {
	task Task
	// Where it is in the queue.
	index int
}

// queue is a heap (container/heap) whose first place is the most urgent one.
type queue []*place

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	return q[i].task.Priority > q[j].task.Priority
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
}

// Push is called by container/heap.
func (q *queue) Push(x any) {
	place := x.(*place)
	place.index = len(*q)
	*q = append(*q, place)
}

// Pop is called by container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	place := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return place
}
