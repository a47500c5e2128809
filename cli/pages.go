package cli

import "strconv"

// pages reads the first page of a list, or all of them. read takes a cursor, ""
// at first, and gives the next and, with the first page, how many there are.
func pages(all bool, read func(cursor string) (next string, total int, err error)) (total int, err error) {
	next, total, err := read("")
	for all && err == nil && next != "" {
		next, _, err = read(next)
	}
	return total, err
}

// shown says that there is more than was printed.
func (c *Context) shown(n, total int) error {
	if n >= total {
		return nil
	}
	return c.Say(c.Text.T("list.more", "n", strconv.Itoa(n), "total", strconv.Itoa(total)))
}
