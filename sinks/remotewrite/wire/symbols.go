package wire

// symbols numbers the strings of one 2.0 request, in the order in which they first occur. Number 0 is "", which the
// specification wants to be the first.
type symbols struct {
	table   *Table
	body    []byte            // the strings as fields of a request
	next    uint32            // the number that is given next
	numbers []uint32          // of the table's strings, by slot; 0 = it has none yet
	used    []uint32          // slots that have been given a number
	others  map[string]uint32 // numbers of strings that the table did not have, or has no more
}

func (y *symbols) begin() {
	y.body = appendString(y.body[:0], symbol2, "")
	y.next = 1
	for _, slot := range y.used {
		y.numbers[slot] = 0
	}
	y.used = y.used[:0]
	clear(y.others)
}

// grow makes room for the strings that the table has got.
func (y *symbols) grow() {
	if missing := len(y.table.strings) - len(y.numbers); missing > 0 {
		y.numbers = append(y.numbers, make([]uint32, missing)...)
	}
}

// of is the number of the table's string in this slot.
func (y *symbols) of(slot uint32) uint32 {
	if n := y.numbers[slot]; n != 0 {
		return n
	}
	return y.first(slot)
}

func (y *symbols) first(slot uint32) uint32 {
	if slot == 0 {
		return 0
	}
	y.numbers[slot] = y.other(y.table.strings[slot].text)
	y.used = append(y.used, slot)
	return y.numbers[slot]
}

// ofText is the number of any string.
func (y *symbols) ofText(text string) uint32 {
	if slot, known := y.table.slots[text]; known {
		y.grow()
		return y.of(slot)
	}
	n := y.other(text)
	y.others[text] = n
	return n
}

// other is the number of a string that may have got one before it came into its slot; else it gets the next.
func (y *symbols) other(text string) uint32 {
	if n := y.others[text]; n != 0 {
		return n
	}
	y.body = appendString(y.body, symbol2, text)
	y.next++
	return y.next - 1
}

// forget takes the number of a slot whose string leaves the table: the next one in it is another.
func (y *symbols) forget(slot uint32) {
	if int(slot) < len(y.numbers) && y.numbers[slot] != 0 {
		y.others[y.table.strings[slot].text] = y.numbers[slot]
		y.numbers[slot] = 0
	}
}
