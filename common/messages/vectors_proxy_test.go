package messages_test

import (
	"reflect"
	"testing"
	"time"

	"flurry/common/messages"
	"flurry/common/vectors"
)

func TestProxyMessagesVectors(t *testing.T) {
	vectors.Run(t, "messages_proxy", map[string]func(*testing.T, vectors.Case){
		"decode_poll_request":    decodePollRequest,
		"encode_poll_request":    encodePollRequest,
		"decode_poll_response":   decodePollResponse,
		"encode_poll_response":   encodePollResponse,
		"decode_answer_request":  decodeAnswerRequest,
		"encode_answer_request":  encodeAnswerRequest,
		"decode_answer_response": decodeAnswerResponse,
		"encode_answer_response": encodeAnswerResponse,
	})
}

// body is the input of every decode operation.
type body struct{ Body string }

// encoded is the output of every encode operation.
type encoded struct {
	OK   bool
	Body string
}

func (want encoded) compare(t *testing.T, got []byte, err error) {
	t.Helper()
	if (err == nil) != want.OK {
		t.Fatalf("error %v, want ok %v", err, want.OK)
	}
	if want.OK {
		compareMembers(t, members(t, string(got)), members(t, want.Body))
	}
}

type pollRequest struct {
	OK           bool    `json:"ok"`
	Sid          string  `json:"sid"`
	Type         string  `json:"type"`
	NAT          string  `json:"nat"`
	Clients      int     `json:"clients"`
	RelayPattern *string `json:"relay_pattern"` // null: absent
}

func decodePollRequest(t *testing.T, c vectors.Case) {
	var in body
	var want pollRequest
	c.Decode(t, &in, &want)
	r, err := messages.DecodeProxyPollRequest([]byte(in.Body))
	got := pollRequest{err == nil, r.SessionID, string(r.Type), string(r.NAT), r.Clients, r.RelayPattern}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func encodePollRequest(t *testing.T, c vectors.Case) {
	var in pollRequest
	var want encoded
	c.Decode(t, &in, &want)
	got, err := messages.ProxyPollRequest{
		SessionID:    in.Sid,
		Type:         messages.ProxyType(in.Type),
		NAT:          messages.NATType(in.NAT),
		Clients:      in.Clients,
		RelayPattern: in.RelayPattern,
	}.Encode()
	want.compare(t, got, err)
}

type pollResponse struct {
	Status   string `json:"status"`
	Offer    string `json:"offer"`
	NAT      string `json:"nat"`
	NextPoll int64  `json:"next_poll"`
	RelayURL string `json:"relay_url"`
}

func decodePollResponse(t *testing.T, c vectors.Case) {
	var in body
	var want struct {
		pollResponse
		OK          bool          `json:"ok"`
		AlsoReturns *pollResponse `json:"also_returns"`
	}
	c.Decode(t, &in, &want)
	if want.AlsoReturns != nil {
		want.pollResponse = *want.AlsoReturns
	}
	r, err := messages.DecodeProxyPollResponse([]byte(in.Body))
	if (err == nil) != want.OK {
		t.Errorf("error %v, want ok %v", err, want.OK)
	}
	got := pollResponse{r.Status, r.Offer, string(r.NAT), r.NextPoll.Milliseconds(), r.RelayURL}
	if got != want.pollResponse {
		t.Errorf("got %+v (%v), want %+v", got, err, want.pollResponse)
	}
}

func encodePollResponse(t *testing.T, c vectors.Case) {
	var in pollResponse
	var want encoded
	c.Decode(t, &in, &want)
	got, err := messages.ProxyPollResponse{
		Status:   in.Status,
		Offer:    in.Offer,
		NAT:      messages.NATType(in.NAT),
		NextPoll: time.Duration(in.NextPoll) * time.Millisecond,
		RelayURL: in.RelayURL,
	}.Encode()
	want.compare(t, got, err)
}

type answerRequest struct {
	OK     bool   `json:"ok"`
	Sid    string `json:"sid"`
	Answer string `json:"answer"`
}

func decodeAnswerRequest(t *testing.T, c vectors.Case) {
	var in body
	var want answerRequest
	c.Decode(t, &in, &want)
	r, err := messages.DecodeProxyAnswerRequest([]byte(in.Body))
	if got := (answerRequest{err == nil, r.SessionID, r.Answer}); got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func encodeAnswerRequest(t *testing.T, c vectors.Case) {
	var in answerRequest
	var want encoded
	c.Decode(t, &in, &want)
	got, err := messages.ProxyAnswerRequest{SessionID: in.Sid, Answer: in.Answer}.Encode()
	want.compare(t, got, err)
}

type answerResponse struct {
	OK      bool `json:"ok"`
	Success bool `json:"success"`
}

func decodeAnswerResponse(t *testing.T, c vectors.Case) {
	var in body
	var want answerResponse
	c.Decode(t, &in, &want)
	r, err := messages.DecodeProxyAnswerResponse([]byte(in.Body))
	if got := (answerResponse{err == nil, r.Status == messages.StatusSuccess}); got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func encodeAnswerResponse(t *testing.T, c vectors.Case) {
	var in answerResponse
	var want encoded
	c.Decode(t, &in, &want)
	status := messages.StatusClientGone
	if in.Success {
		status = messages.StatusSuccess
	}
	got, err := messages.ProxyAnswerResponse{Status: status}.Encode()
	want.compare(t, got, err)
}
