package harness

import (
	"encoding/json"
	"net/http"

	"kakehashi/client"
)

// What the kit posts to have us start; the address that it names is the one that
// is known of it already.
type (
	wantedNegotiation struct {
		ProviderID string `json:"providerId"`
		OfferID    string `json:"offerId"`
		DatasetID  string `json:"datasetId"`
	}
	wantedTransfer struct {
		AgreementID string `json:"agreementId"`
		Format      string `json:"format"`
	}
)

func (h *Harness) triggerNegotiation(w http.ResponseWriter, r *http.Request) {
	var v wantedNegotiation
	if !h.read(w, r, &v) {
		return
	}
	_, err := h.API.Negotiate(r.Context(), client.StartNegotiation{Partner: v.ProviderID, Dataset: v.DatasetID, Offer: v.OfferID,
		Policy: open, Asking: "each-step"})
	h.started(w, "negotiation", v.DatasetID, err)
}

func (h *Harness) triggerTransfer(w http.ResponseWriter, r *http.Request) {
	var v wantedTransfer
	if !h.read(w, r, &v) {
		return
	}
	_, err := h.API.StartTransfer(r.Context(), client.StartTransfer{Agreement: v.AgreementID, Format: v.Format})
	h.started(w, "transfer", v.AgreementID, err)
}

func (h *Harness) read(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func (h *Harness) started(w http.ResponseWriter, kind, about string, err error) {
	if err != nil {
		h.c.Log.Error("start", "kind", kind, "about", about, "err", err)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	h.c.Log.Info("started", "kind", kind, "about", about)
	w.WriteHeader(http.StatusNoContent)
}
