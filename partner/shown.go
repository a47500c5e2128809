package partner

import dsp "kakehashi/dsp/dsp2025"

// Want is which part of a counterpart's catalogue is read.
type Want struct {
	Filter dsp.QuerySpec // the zero value picks all; a counterpart may refuse any other
	From   Place         // the zero value is the beginning
	Limit  int           // datasets at most; 0 and more than 10,000 are 10,000
}

// Place is where in a catalogue a further call goes on.
type Place struct {
	URL  string // of a page
	Skip int    // datasets of it that were read already
}

// Shown is what a counterpart shows: one part of its catalogue, pages joined.
type Shown struct {
	Participant string // who the catalogue says it is of
	Datasets    []Listing
	Further     []Pointer
	Next        *Place // nil at the end
	Previous    *Place // the page before, nil where the counterpart names none
	Cut         string // the page that the pages led back to, so that the rest cannot be read; "" if nothing is missing
}

// Listing is a dataset with the base URL of the connector that answers for it,
// which is "" where that is the counterpart's own.
type Listing struct {
	dsp.Dataset
	Base string
}

// Pointer is a catalogue elsewhere; it is named, never followed.
type Pointer struct {
	ID, Title string
	Address   string // DSP base URL
}
