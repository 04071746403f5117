package ledger

import "github.com/collectington/collectington/agent/metric"

// drops has the numbers of readings of one metric that were left out of a tick, by reason.
type drops struct {
	all []metric.Drop
}

func (d *drops) reset() { d.all = d.all[:0] }

// add adds n to the number of readings that were left out for a reason. It calls describe only for the first reading left out for that
// reason.
func (d *drops) add(reason metric.Reason, n int, describe func() string) {
	for i := range d.all {
		if d.all[i].Reason == reason {
			d.all[i].Count += n
			return
		}
	}
	d.all = append(d.all, metric.Drop{Reason: reason, Count: n, First: describe()})
}

// count returns the number of readings that were dropped.
func (d *drops) count() int {
	n := 0
	for i := range d.all {
		n += d.all[i].Count
	}
	return n
}

// appendTo appends the drops to list and clears d. The argument "of" is the number of all readings of the metric.
func (d *drops) appendTo(list []Drop, name string, of int) []Drop {
	for _, drop := range d.all {
		list = append(list, Drop{name, of, drop})
	}
	d.reset()
	return list
}
