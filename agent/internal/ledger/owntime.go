package ledger

// later returns the later one of the own times of two readings. If one of the readings has no time of its own, it has the time of the
// tick, and later returns 0.
func later(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// startBefore returns the time in the argument "start", or own-1 if that is earlier. The argument "own" is the own time of a reading, in
// Unix milliseconds. If it is 0, the reading has none, and "start" is returned.
func startBefore(start, own int64) int64 {
	if own != 0 {
		return min(start, own-1)
	}
	return start
}
