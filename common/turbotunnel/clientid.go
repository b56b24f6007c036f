package turbotunnel

import (
	"crypto/rand"
	"encoding/hex"
)

// ClientID names a session, wherever its packets come from. It is comparable,
// and a net.Addr.
type ClientID [8]byte

// NewClientID draws a random ClientID.
func NewClientID() ClientID {
	var id ClientID
	rand.Read(id[:])
	return id
}

// Network implements net.Addr.
func (id ClientID) Network() string { return "clientid" }

// String implements net.Addr.
func (id ClientID) String() string { return hex.EncodeToString(id[:]) }
