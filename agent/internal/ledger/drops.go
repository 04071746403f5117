package ledger

import "github.com/collectington/collectington/agent/metric"

// drops counts what one metric's readings lost in a tick.
type drops struct {
	all []metric.Drop
}

func (d *drops) reset() { d.all = d.all[:0] }

// add counts n readings; what they were is asked only for the first of a reason.
func (d *drops) add(reason metric.Reason, n int, what func() string) {
	for i := range d.all {
		if d.all[i].Reason == reason {
			d.all[i].Count += n
			return
		}
	}
	d.all = append(d.all, metric.Drop{Reason: reason, Count: n, First: what()})
}

// count is how many were dropped.
func (d *drops) count() int {
	n := 0
	for i := range d.all {
		n += d.all[i].Count
	}
	return n
}

func (d *drops) appendTo(list []Drop, name string) []Drop {
	for _, drop := range d.all {
		list = append(list, Drop{name, drop})
	}
	d.reset()
	return list
}
