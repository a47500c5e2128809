// Package dsphttp is the HTTPS binding of the Dataspace Protocol, both
// directions: a server that routes, authenticates and hands messages to the
// rooms, and a client that sends ours. It is not for states or terms, and not
// for the data plane.
package dsphttp
