package document

// Lookup finds members in many similar objects. It reads the keys of an object only once for all members. It is fast if an object
// has the same keys in the same order as the previous object. The zero value is ready to use.
type Lookup struct {
	slots     map[string]int
	object    Value     // the object to which found belongs, or null
	found     []Value   // members of object, by slot
	layout    []keySlot // the keys of earlier objects, in their order, without keys that have escapes
	unescaped []byte    // reused memory for a key
}

// maxLayout is the maximum number of keys in layout.
const maxLayout = 1024

// keySlot is a key and its slot. The slot is -1 if the key is not looked up.
type keySlot struct {
	key  string
	slot int
}

// Slot returns the number of a key. The method Get expects this number.
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

// Forget removes all references to documents. After Get, call it before the document's Parser or Builder is used again.
func (l *Lookup) Forget() {
	clear(l.found)
	l.object, l.layout = Value{}, l.layout[:0]
}

// Get returns the same value as object.Get for the key of the slot.
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
	t := object.tree
	for n, at, end := 0, object.at+1, t.next(object.at); at < end; n, at = n+1, t.next(at+1) {
		slot := 0
		if n < len(l.layout) && string(t.raw(at)) == l.layout[n].key {
			slot = l.layout[n].slot
		} else {
			slot = l.learn(n, Value{object.tree, at})
		}
		if slot >= 0 {
			l.found[slot] = Value{object.tree, at + 1} // if keys are equal, the last one counts
		}
	}
}

// learn returns the slot of the n-th key of an object. It remembers the key, since the next object may have it too.
func (l *Lookup) learn(n int, key Value) int {
	if key.node().escaped() {
		l.unescaped = key.AppendText(l.unescaped[:0])
		return l.slotOf(view(l.unescaped))
	}
	raw := key.Raw()
	p := keySlot{raw, l.slotOf(raw)}
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
