package ledger

// later returns the later one of the own times of two readings. If one of them has no time of its own, and so has the tick's time, later
// returns 0.
func later(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// startBefore returns start, or own-1 if that is earlier. The argument "own" is the time that a reading has of its own, in Unix
// milliseconds; 0 = none.
func startBefore(start, own int64) int64 {
	if own != 0 {
		return min(start, own-1)
	}
	return start
}
