package config

import "strings"

// Closest returns the known name that is most similar to a mistyped name. It returns "" if more than a third of the letters
// differ.
func Closest(name string, known []string) string {
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := Distance(strings.ToLower(name), k); d < least || d == least && best == "" {
			best, least = k, d
		}
	}
	return best
}

// Distance returns the edit distance of two names (Damerau-Levenshtein, optimal string alignment). This is the number of
// letters that must be inserted, deleted, replaced, or swapped with the next letter. It is 64 for names of more than 64
// letters.
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
