package ledger

// later returns the later of two readings' own times, where 0 is the tick's time.
func later(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// startBefore returns start, or the millisecond before a reading's own time if that is earlier.
func startBefore(start, own int64) int64 {
	if own != 0 {
		return min(start, own-1)
	}
	return start
}
