package convert

// isTelegraf reports whether a file is a configuration of Telegraf.
func isTelegraf(n *node) bool {
	return n.get("inputs") != nil || n.get("outputs") != nil && n.get("agent") != nil
}

// telegraf converts a configuration of Telegraf.
type telegraf struct {
	out     *output
	options Options
}

func (t *telegraf) convert(roots []*node) {}
