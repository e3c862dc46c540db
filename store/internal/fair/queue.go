package fair

import "slices"

// Queue keeps items of several owners and gives them back round robin by owner, in order within one owner: an owner with
// very many items delays the others by one item a round. The zero value is empty. It is not safe for concurrent use.
type Queue[T comparable] struct {
	items map[string][]T
	// turns are the owners that have items, the next one first.
	turns []string
	size  int
}

// Push appends an item of an owner.
func (q *Queue[T]) Push(owner string, item T) {
	if q.items == nil {
		q.items = map[string][]T{}
	}
	if len(q.items[owner]) == 0 {
		q.turns = append(q.turns, owner)
	}
	q.items[owner] = append(q.items[owner], item)
	q.size++
}

// Len is how many items there are.
func (q *Queue[T]) Len() int { return q.size }

// Pop removes the next item of the first owner in turn that may be served, and reports whether there is one.
func (q *Queue[T]) Pop(may func(owner string) bool) (item T, owner string, found bool) {
	i := slices.IndexFunc(q.turns, may)
	if i < 0 {
		return item, "", false
	}
	owner = q.turns[i]
	q.turns = slices.Delete(q.turns, i, i+1)
	item = q.items[owner][0]
	q.keep(owner, q.items[owner][1:])
	if len(q.items[owner]) > 0 {
		q.turns = append(q.turns, owner)
	}
	return item, owner, true
}

// Remove removes an item, and reports whether it was there.
func (q *Queue[T]) Remove(owner string, item T) bool {
	i := slices.Index(q.items[owner], item)
	if i < 0 {
		return false
	}
	q.keep(owner, slices.Delete(q.items[owner], i, i+1))
	if len(q.items[owner]) == 0 {
		q.turns = slices.DeleteFunc(q.turns, func(o string) bool { return o == owner })
	}
	return true
}

// keep leaves an owner one item less.
func (q *Queue[T]) keep(owner string, items []T) {
	q.size--
	if len(items) == 0 {
		delete(q.items, owner)
	} else {
		q.items[owner] = items
	}
}
