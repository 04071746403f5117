package config

import "strings"

// Closest is the known name that a mistyped one most likely means, "" where none is near: at most a third of its letters
// may differ.
func Closest(name string, known []string) string {
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := Distance(strings.ToLower(name), k); d < least || d == least && best == "" {
			best, least = k, d
		}
	}
	return best
}

// Distance counts the letters to insert, delete, replace or swap with their neighbour (Damerau-Levenshtein, optimal string
// alignment). Names of more than 64 letters are 64 apart.
func Distance(a, b string) int {
	const limit = 64
	if len(a) > limit || len(b) > limit {
		return limit
	}
	var d [limit + 1][limit + 1]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j], d[i][j-1], d[i-1][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
