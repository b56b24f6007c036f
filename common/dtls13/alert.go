package dtls13

import (
	"errors"
	"fmt"
)

// An alert is the description in an alert (RFC 8446 section 6).
type alert uint8

const (
	alertCloseNotify            alert = 0
	alertUnexpectedMessage      alert = 10
	alertHandshakeFailure       alert = 40
	alertBadCertificate         alert = 42
	alertUnsupportedCertificate alert = 43
	alertIllegalParameter       alert = 47
	alertDecodeError            alert = 50
	alertDecryptError           alert = 51
	alertProtocolVersion        alert = 70
	alertInternalError          alert = 80
	alertUserCanceled           alert = 90
	alertMissingExtension       alert = 109
	alertUnsupportedExtension   alert = 110
	alertCertificateRequired    alert = 116
)

const (
	alertWarning uint8 = 1
	alertFatal   uint8 = 2
)

// A PeerError is a fatal alert from the peer.
type PeerError struct {
	Description uint8 // of the TLS Alerts registry
}

func (e PeerError) Error() string {
	return fmt.Sprintf("dtls13: the peer ended the connection with alert %d", e.Description)
}

// A protocolError is a fault of the peer's, with the alert that it is told.
type protocolError struct {
	alert alert
	text  string
}

func (e protocolError) Error() string { return "dtls13: " + e.text }

func fault(a alert, text string) error { return protocolError{a, text} }

// alertOf is the alert to send for an error.
func alertOf(err error) alert {
	var p protocolError
	var r rejected
	switch {
	case errors.As(err, &p):
		return p.alert
	case errors.As(err, &r):
		return alertBadCertificate
	}
	return alertInternalError
}
