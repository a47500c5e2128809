package dcphttp

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"kakehashi/internal/etag"
)

const plainJSON = "application/json"

// query answers what the caller may read of our credentials (DCP 1.0, 5.4).
func (c *call) query() {
	reply, err := c.s.c.Wallet.Query(c.r.Context(), c.p.ID, c.caller, c.body)
	c.reply(http.StatusOK, reply, err)
}

// store takes what an issuer delivers (6.5).
func (c *call) store() {
	c.reply(http.StatusOK, nil, c.s.c.Wallet.Receive(c.r.Context(), c.p.ID, c.caller, c.body))
}

// offer takes what an issuer offers (6.6).
func (c *call) offer() {
	c.reply(http.StatusOK, nil, c.s.c.Wallet.Offer(c.r.Context(), c.p.ID, c.caller, c.body))
}

// request takes a holder's request and says where its state is to be read (6.4).
func (c *call) request() {
	id, err := c.s.c.Issuer.Receive(c.r.Context(), c.p.ID, c.caller, c.body)
	if err == nil {
		c.w.Header().Set("Location", c.p.Root()+"/dcp/issuer/"+string(c.p.ID)+"/requests/"+url.PathEscape(id))
	}
	c.reply(http.StatusCreated, nil, err)
}

// status is for the holder whose request it is (6.8).
func (c *call) status(id string) {
	reply, err := c.s.c.Issuer.Status(c.r.Context(), c.p.ID, c.caller, id)
	c.reply(http.StatusOK, reply, err)
}

// metadata is for everybody (6.7).
func (c *call) metadata() {
	reply, err := c.s.c.Issuer.Metadata(c.r.Context(), c.p.ID)
	c.reply(http.StatusOK, reply, err)
}

// statusList is for everybody; who holds the very list is told so.
func (c *call) statusList(id string) {
	list, err := c.s.c.Issuer.StatusList(c.r.Context(), c.p.ID, id)
	if err != nil {
		c.fail(err)
		return
	}
	h := c.w.Header()
	h.Set("ETag", list.ETag)
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(list.MaxAge/time.Second)))
	if etag.Holds(c.r.Header.Values("If-None-Match"), list.ETag) {
		c.answer(http.StatusNotModified, "", nil)
		return
	}
	c.answer(http.StatusOK, list.MediaType, []byte(list.JWT))
}

func (c *call) reply(status int, body []byte, err error) {
	if err != nil {
		c.fail(err)
		return
	}
	c.answer(status, plainJSON, body)
}
