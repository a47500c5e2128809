package client

import (
	"context"
	"net/url"
	"time"
)

// Work is a message or another job that did not go through at the first try.
type Work struct {
	ID           string    `json:"id" doc:"For retry and end"`
	Kind         string    `json:"kind" doc:"What is done, such as negotiation.send"`
	Message      string    `json:"message,omitempty" doc:"The message of the protocol, if it is one"`
	Process      string    `json:"process" doc:"The negotiation or transfer that waits for it"`
	Counterparty string    `json:"counterparty,omitempty" doc:"Whom it waits for"`
	State        string    `json:"state" enum:"retrying,behind,parked" doc:"retrying: tried again at next; behind: another job of the process comes first; parked: not tried again until somebody says so"`
	Attempts     int       `json:"attempts" doc:"That failed"`
	LastError    string    `json:"last_error,omitempty"`
	Since        time.Time `json:"since"`
	Next         time.Time `json:"next,omitzero" doc:"Time of the next attempt"`
}

// Works is what is late, oldest first.
type Works struct {
	Items []Work `json:"items"`
	More  bool   `json:"more" doc:"There is more than shown"`
}

// Work lists what is late for one counterpart, or for all with "".
func (c *Client) Work(ctx context.Context, counterparty string) (Works, error) {
	path := "/work"
	if counterparty != "" {
		path += "?counterparty=" + url.QueryEscape(counterparty)
	}
	return call[Works](ctx, c, "GET", path, nil)
}

// RetryWork tries a job at once and gives it its whole time again.
func (c *Client) RetryWork(ctx context.Context, id string) error {
	_, err := call[struct{}](ctx, c, "POST", "/work/"+esc(id)+"/retry", nil)
	return err
}

// EndWork gives a job up for good. Its negotiation or transfer is terminated if
// it is still open.
func (c *Client) EndWork(ctx context.Context, id string) error {
	_, err := call[struct{}](ctx, c, "POST", "/work/"+esc(id)+"/end", nil)
	return err
}
