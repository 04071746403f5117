package document

// Lookup finds some members of one object after another. It reads an object's keys once, whichever number of its members
// is asked for, and expects the same keys in the same order as in the object before. The zero value is ready.
type Lookup struct {
	slots     map[string]int
	object    Value    // whose members have been found; null where there is none
	found     []Value  // by slot
	layout    []placed // the keys of objects before, in their order; none with a backslash
	unescaped []byte   // a key
}

// maxLayout bounds the keys that are expected, of objects with very many.
const maxLayout = 1024

// placed is a key and its slot, -1 where nobody asks for it.
type placed struct {
	key  string
	slot int
}

// Slot is the number under which Get knows a key.
func (l *Lookup) Slot(key string) int {
	slot, known := l.slots[key]
	if !known {
		if l.slots == nil {
			l.slots = map[string]int{}
		}
		slot = len(l.found)
		l.slots[key] = slot
		l.found = append(l.found, Value{})
		l.Forget()
	}
	return slot
}

// Forget has to be called before a parser is used again whose document has been asked.
func (l *Lookup) Forget() {
	clear(l.found)
	l.object, l.layout = Value{}, l.layout[:0]
}

// Get is what Get of the object is with the slot's key.
func (l *Lookup) Get(object Value, slot int) Value {
	if object != l.object {
		l.read(object)
	}
	return l.found[slot]
}

func (l *Lookup) read(object Value) {
	clear(l.found)
	l.object = object
	if object.Kind() != Object {
		return
	}
	nodes, text := object.tree.nodes, object.tree.text
	for n, at, end := 0, object.at+1, nodes[object.at].next(); at < end; n, at = n+1, nodes[at+1].next() {
		k, slot := &nodes[at], 0
		if n < len(l.layout) && string(text[k.start:k.end]) == l.layout[n].key {
			slot = l.layout[n].slot
		} else {
			slot = l.learn(n, Value{object.tree, at})
		}
		if slot >= 0 {
			l.found[slot] = Value{object.tree, at + 1} // the last of equal keys
		}
	}
}

// learn is the slot of an object's n-th key, which is expected of the next object too.
func (l *Lookup) learn(n int, key Value) int {
	if key.node().escaped() {
		l.unescaped = key.AppendText(l.unescaped[:0])
		return l.slotOf(view(l.unescaped))
	}
	raw := key.Raw()
	p := placed{raw, l.slotOf(raw)}
	switch {
	case n < len(l.layout):
		l.layout[n] = p
	case n == len(l.layout) && n < maxLayout:
		l.layout = append(l.layout, p)
	}
	return p.slot
}

func (l *Lookup) slotOf(key string) int {
	if slot, known := l.slots[key]; known {
		return slot
	}
	return -1
}
