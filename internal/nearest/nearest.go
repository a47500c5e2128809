// Package nearest guesses which known name somebody meant by one that is not
// known: a setting, a command, a flag. It only words a hint; nothing is ever
// done with the guess itself.
package nearest

// Name gives the known name with the fewest edits from word. ok is false when
// none is near: more than a third of the letters differ.
func Name(word string, known []string) (name string, ok bool) {
	const longest = 64 // a hint for anything longer is worth nothing
	if len(word) > longest {
		return "", false
	}
	best := len(word)/3 + 1
	for _, k := range known {
		if d := distance(word, k); d <= best && (d < best || name == "") {
			best, name = d, k
		}
	}
	return name, name != ""
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
