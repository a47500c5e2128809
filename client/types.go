package client

import "time"

// Node is who answers: the participant that the token names.
type Node struct {
	Participant string `json:"participant" doc:"Local name of the participant"`
	DID         string `json:"did"`
	Title       string `json:"title,omitempty"`
	Base        string `json:"base" doc:"DSP base URL"`
	DataURL     string `json:"data_url" doc:"Base of the data plane"`
	Version     string `json:"version"`
	Checkpoint  string `json:"checkpoint,omitempty" doc:"Newest signed checkpoint of the evidence log"`
}

// Dataset is one offered dataset, ours or a partner's.
type Dataset struct {
	ID          string   `json:"id"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Service     string   `json:"service,omitempty"`
	Version     int64    `json:"version,omitempty"`
	Asking      string   `json:"asking,omitempty" enum:"automatic,ask,each-step" doc:"Whether we are asked before agreeing: automatic when empty"`
	Formats     []string `json:"formats,omitempty"`
	Newer       bool     `json:"newer,omitempty" doc:"A newer program of this node wrote it; the replica that answers knows what is shown here only"`
	Offers      []Offer  `json:"offers,omitempty"`
	Base        string   `json:"base,omitempty" doc:"Address of the connector that answers for it, where that is not the partner's own: give it as the partner"`
}

// Offer is the terms of a dataset.
type Offer struct {
	ID     string   `json:"id"`
	Policy any      `json:"policy" doc:"ODRL rules"`
	Terms  []string `json:"terms,omitempty" doc:"The rules as sentences, in the language asked for"`
}

// Datasets is a page of datasets.
type Datasets struct {
	Items []Dataset `json:"items"`
	Next  string    `json:"next,omitempty" doc:"Cursor of the next page"`
	Total int       `json:"total,omitempty" doc:"How many there are in all"`
}

// PartnerCatalog is what a partner shows us, or a part of it.
type PartnerCatalog struct {
	Partner  string           `json:"partner" doc:"The partner's DID"`
	Base     string           `json:"base"`
	Datasets []Dataset        `json:"datasets"`
	Further  []FurtherCatalog `json:"further,omitempty" doc:"Catalogues elsewhere that it names; they are not asked"`
	Next     string           `json:"next,omitempty" doc:"Cursor of what follows"`
	Previous string           `json:"previous,omitempty" doc:"Cursor of the partner's page before"`
	Cut      string           `json:"cut,omitempty" doc:"The page that the pages led back to, so that the rest cannot be read"`
}

// FurtherCatalog is a catalogue of somebody else that a catalogue names.
type FurtherCatalog struct {
	ID       string `json:"id"`
	Title    string `json:"title,omitempty"`
	Endpoint string `json:"endpoint" doc:"DSP base URL at which it is asked for"`
}

// FurtherCatalogs are those that this participant shows.
type FurtherCatalogs struct {
	Items []FurtherCatalog `json:"items"`
}

// AddCatalog shows a further catalogue inside our own.
type AddCatalog struct {
	Title    string `json:"title" minLength:"1" maxLength:"500"`
	Endpoint string `json:"endpoint" doc:"DSP base URL at which it is asked for" minLength:"1" maxLength:"2048"`
}

// CatalogQuery picks a part of a partner's catalogue; the zero value is all of it.
type CatalogQuery struct {
	Filter []string // MEMBER OP VALUE, such as title~=tide; all must hold
	Limit  int      // datasets at most; 0: 1,000
	Cursor string   // Next or Previous of another part, with the same Filter
}

// Partner is a counterpart that this node has spoken with.
type Partner struct {
	DID   string    `json:"did"`
	Base  string    `json:"base"`
	Title string    `json:"title,omitempty"`
	Seen  time.Time `json:"seen,omitzero"`
}

// FixPartner gives the address of a counterpart that announces itself nowhere.
type FixPartner struct {
	ID    string `json:"id" minLength:"1" maxLength:"2048" doc:"As its messages name it: a DID or any other id, compared whole"`
	Base  string `json:"base" minLength:"1" maxLength:"2048" doc:"Address below which it takes messages of DSP 2025-1; it is taken as it is"`
	Title string `json:"title,omitempty" maxLength:"500"`
}

// Partners is the list of counterparts.
type Partners struct {
	Items []Partner `json:"items"`
}

// StartNegotiation asks a partner for an agreement about a dataset.
type StartNegotiation struct {
	Partner string `json:"partner" doc:"DID, DSP address or known name of the provider" minLength:"1" maxLength:"2048"`
	Dataset string `json:"dataset" minLength:"1" maxLength:"2048"`
	Offer   string `json:"offer,omitempty" doc:"Offer id; the dataset's first offer when empty" maxLength:"2048"`
	Policy  any    `json:"policy,omitempty" doc:"ODRL rules to ask for under that offer id; nothing is read from the partner's catalogue then"`
	Asking  string `json:"asking,omitempty" enum:"automatic,ask,each-step" doc:"Who decides on what the partner answers: automatic when empty"`
	Key     string `json:"-"` // idempotency key, to try again without effect twice; made when empty
}

// StartOffer offers a dataset of ours to a partner that has not asked.
type StartOffer struct {
	Partner string `json:"partner" doc:"DID, DSP address or known name of the consumer" minLength:"1" maxLength:"2048"`
	Dataset string `json:"dataset" minLength:"1" maxLength:"2048"`
	Offer   string `json:"offer,omitempty" doc:"Offer id; the dataset's first offer when empty" maxLength:"2048"`
	Key     string `json:"-"` // idempotency key, as of StartNegotiation
}

// Decision answers a negotiation or a transfer that waits for us.
type Decision struct {
	Decision string `json:"decision" enum:"approve,refuse,counter" doc:"approve takes the next step of the protocol; refuse ends the process; counter answers a negotiation with terms of ours"`
	Reason   string `json:"reason,omitempty" maxLength:"1000" doc:"Told to the counterpart; required by refuse"`
	Code     string `json:"code,omitempty" maxLength:"100" doc:"Code of a refusal for programs"`
	Policy   any    `json:"policy,omitempty" doc:"ODRL rules of a counter-offer; without them the offer that is ours already"`
}

// Waiting is what waits for a decision of ours, oldest first.
type Waiting struct {
	Negotiations []Negotiation `json:"negotiations"`
	Transfers    []Transfer    `json:"transfers"`
	More         bool          `json:"more" doc:"There is more than this answer holds"`
}

// Question is what the decision webhook is asked. It answers with a Decision at
// once, or with 202 or 204: then the process waits, and the decision comes over
// the API or the portal.
type Question struct {
	Kind         string   `json:"kind" enum:"negotiation,transfer"`
	ID           string   `json:"id"`
	Role         string   `json:"role" enum:"provider,consumer"`
	State        string   `json:"state"`
	Version      int64    `json:"version" doc:"A decision counts for this version only"`
	Counterparty string   `json:"counterparty"`
	Dataset      string   `json:"dataset"`
	Offer        string   `json:"offer,omitempty"`
	Agreement    string   `json:"agreement,omitempty"`
	Format       string   `json:"format,omitempty"`
	Policy       any      `json:"policy,omitempty" doc:"The terms on the table"`
	Terms        []string `json:"terms,omitempty" doc:"The same as sentences"`
	Same         bool     `json:"same" doc:"The terms are those of our own offer, or those that we asked for"`
}

// Import takes over what another connector held: agreements that are in force.
// Datasets come with their ids and those of their offers by publishing them.
type Import struct {
	Agreements []ImportAgreement `json:"agreements" minItems:"1" maxItems:"1000"`
}

// ImportAgreement is an agreement that both sides already hold.
type ImportAgreement struct {
	ID           string    `json:"id" minLength:"1" maxLength:"2048"`
	Role         string    `json:"role" enum:"provider,consumer"`
	Counterparty string    `json:"counterparty" minLength:"1" maxLength:"2048"`
	Dataset      string    `json:"dataset" minLength:"1" maxLength:"2048"`
	Offer        string    `json:"offer,omitempty" maxLength:"2048"`
	Policy       any       `json:"policy"`
	Signed       time.Time `json:"signed"`
}

// Imported counts what an import brought; what was there already is not counted.
type Imported struct {
	Agreements int `json:"agreements"`
}

// Negotiation is one contract negotiation.
type Negotiation struct {
	ID           string    `json:"id"`
	Role         string    `json:"role" enum:"provider,consumer"`
	Counterparty string    `json:"counterparty"`
	PeerID       string    `json:"peer_id,omitempty"`
	State        string    `json:"state" doc:"As DSP names it; empty until the partner has answered"`
	Dataset      string    `json:"dataset"`
	Offer        string    `json:"offer"`
	Agreement    string    `json:"agreement,omitempty"`
	Reason       string    `json:"reason,omitempty" doc:"Why it was terminated"`
	Asking       string    `json:"asking,omitempty" enum:"automatic,ask,each-step"`
	Waits        bool      `json:"waits" doc:"It waits for our decision"`
	Version      int64     `json:"version" doc:"Counts the steps; a decision can name the one that it was taken on"`
	Same         bool      `json:"same" doc:"The terms on the table are those of our own offer, or those that we asked for"`
	Policy       any       `json:"policy,omitempty" doc:"The terms on the table"`
	Terms        []string  `json:"terms,omitempty" doc:"The same as sentences"`
	Created      time.Time `json:"created"`
	Newer        bool      `json:"newer,omitempty" doc:"A newer program of this node wrote it; the replica that answers knows what is shown here only"`
	Updated      time.Time `json:"updated"`
}

// Negotiations is a page, newest first.
type Negotiations struct {
	Items []Negotiation `json:"items"`
	Next  string        `json:"next,omitempty" doc:"Cursor of the next page"`
	Total int           `json:"total,omitempty" doc:"Of all pages; told with the first"`
}

// Agreement is what two parties are bound to.
type Agreement struct {
	ID           string    `json:"id"`
	Role         string    `json:"role" enum:"provider,consumer"`
	Counterparty string    `json:"counterparty"`
	Dataset      string    `json:"dataset"`
	Offer        string    `json:"offer"`
	Negotiation  string    `json:"negotiation"`
	Policy       any       `json:"policy"`
	Terms        []string  `json:"terms,omitempty"`
	Signed       time.Time `json:"signed"`
	Ended        time.Time `json:"ended,omitzero"`
	Newer        bool      `json:"newer,omitempty" doc:"A newer program of this node wrote it; the replica that answers knows what is shown here only"`
	Reason       string    `json:"reason,omitempty"`
}

// Agreements is a page, newest first.
type Agreements struct {
	Items []Agreement `json:"items"`
	Next  string      `json:"next,omitempty" doc:"Cursor of the next page"`
	Total int         `json:"total,omitempty" doc:"Of all pages; told with the first"`
}

// StartTransfer asks the provider of an agreement for the data.
type StartTransfer struct {
	Agreement string `json:"agreement" minLength:"1" maxLength:"2048"`
	Format    string `json:"format,omitempty" doc:"Distribution format; HttpData-PULL when empty. With a format that ends in -PUSH the provider sends the data to this node" maxLength:"128"`
	Key       string `json:"-"` // idempotency key, as of StartNegotiation
}

// Transfer is one transfer process.
type Transfer struct {
	ID           string    `json:"id"`
	Role         string    `json:"role" enum:"provider,consumer"`
	Counterparty string    `json:"counterparty"`
	PeerID       string    `json:"peer_id,omitempty"`
	State        string    `json:"state"`
	Agreement    string    `json:"agreement"`
	Dataset      string    `json:"dataset,omitempty"`
	Format       string    `json:"format"`
	Reason       string    `json:"reason,omitempty"`
	Waits        bool      `json:"waits" doc:"It waits for our decision"`
	File         string    `json:"file,omitempty" doc:"Where what was pushed to this node lies, on its machine; once it arrived whole"`
	Bytes        int64     `json:"bytes,omitempty" doc:"What the consumer received, or of a push the provider sent"`
	Digest       string    `json:"digest,omitempty" doc:"sha256:<hex> of the same"`
	Created      time.Time `json:"created"`
	Newer        bool      `json:"newer,omitempty" doc:"A newer program of this node wrote it; the replica that answers knows what is shown here only"`
	Updated      time.Time `json:"updated"`
}

// Transfers is a page, newest first.
type Transfers struct {
	Items []Transfer `json:"items"`
	Next  string     `json:"next,omitempty" doc:"Cursor of the next page"`
	Total int        `json:"total,omitempty" doc:"Of all pages; told with the first"`
}

// Access is where the data is and what opens it. It is a secret.
type Access struct {
	Endpoint      string `json:"endpoint"`
	Authorization string `json:"authorization" doc:"Value of the Authorization header"`
}

// Completion says what arrived.
type Completion struct {
	Bytes  int64  `json:"bytes" minimum:"0"`
	Digest string `json:"digest,omitempty" doc:"sha256:<hex> of the whole" pattern:"^sha256:[0-9a-f]{64}$"`
}

// Reason explains an end or a suspension to the counterpart.
type Reason struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1000"`
}

// Entry is one leaf of the evidence log in a timeline.
type Entry struct {
	ID           string            `json:"id"`
	Type         string            `json:"type"`
	Time         time.Time         `json:"time"`
	Position     int64             `json:"position" doc:"Place in the log; -1 for at most 100 ms after the event"`
	Direction    string            `json:"direction,omitempty"`
	Counterparty string            `json:"counterparty,omitempty"`
	Hashes       map[string]string `json:"hashes,omitempty"`
	Facts        map[string]string `json:"facts,omitempty"`
}

// History is the timeline of one process.
type History struct {
	Items []Entry `json:"items"`
}

// Link opens the portal once.
type Link struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// Event is one change of a process, as the event stream carries it.
type Event struct {
	Kind     string    `json:"kind" enum:"negotiation,transfer"`
	ID       string    `json:"id"`
	State    string    `json:"state"`
	Version  int64     `json:"version"`
	At       time.Time `json:"at"`
	Position string    `json:"-"` // of the stream, to go on after it later: Filter.After
}

// PublishFile offers a file of the node's machine.
type PublishFile struct {
	Path        string `json:"path" doc:"Absolute path below one of the node's files_roots" minLength:"1"`
	Title       string `json:"title" minLength:"1" maxLength:"500"`
	Description string `json:"description,omitempty" maxLength:"10000"`
	ID          string `json:"id,omitempty" doc:"Dataset id, any IRI; made when empty" maxLength:"2048"`
	Asking      string `json:"asking,omitempty" enum:"automatic,ask,each-step" doc:"Whether we are asked before agreeing"`
	Offer       string `json:"offer,omitempty" doc:"Offer id; made when empty" maxLength:"2048"`
	Policy      any    `json:"policy" doc:"ODRL rules of the offer"`
}
