package snowclient

import (
	"context"

	"flurry/common/messages"
	"flurry/common/nat"
)

// A natProbe finds out what kind of NAT we are behind by asking STUN servers.
type natProbe func(ctx context.Context, servers []string) (messages.NATType, error)

func probeNAT(ctx context.Context, servers []string) (messages.NATType, error) {
	return nat.Probe(ctx, servers, nat.Options{})
}

// learnNAT runs the probe, once per Transport and beside the first rendezvous,
// which does not wait for it. If it fails the kind stays unknown; see natToSend
// for what the broker is then told.
func (t *Transport) learnNAT(ctx context.Context) {
	if len(t.iceServers) == 0 {
		return
	}
	kind, err := t.probe(ctx, t.iceServers)
	if err != nil {
		t.log.Info("cannot learn the NAT type", "err", err)
		return
	}
	t.log.Info("learned the NAT type", "nat", string(kind))
	t.signaller.setNAT(kind)
}
