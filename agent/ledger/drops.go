package ledger

import "github.com/collectington/collectington/agent/metric"

// drops counts what one metric's readings lost in a tick.
type drops struct {
	all []metric.Drop
}

func (d *drops) reset() { d.all = d.all[:0] }

// add counts a reading; what is asked only for the first of a reason.
func (d *drops) add(reason metric.Reason, what func() string) {
	for i := range d.all {
		if d.all[i].Reason == reason {
			d.all[i].Count++
			return
		}
	}
	d.all = append(d.all, metric.Drop{Reason: reason, Count: 1, First: what()})
}

func (d *drops) appendTo(list []Drop, name string) []Drop {
	for _, drop := range d.all {
		list = append(list, Drop{name, drop})
	}
	d.reset()
	return list
}
