package webext

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"testing"
	"time"

	"flurry/test/browsers"
	"flurry/test/stage"
)

// bigFile goes each way in the first session, in bytes.
const bigFile = 20_000_000

// mostAway is how many polls may come in that time: the pause doubles from 10 s.
const mostAway = 4

// brokerAway is for how long the broker is away from Chromium. In Firefox, where nothing of this differs, it is back as soon as a
// poll has failed.
const brokerAway = time.Minute

// A story is what one volunteer lives through, in order: a browser takes seconds to start.
type story struct {
	ctx    context.Context
	t      testing.TB
	w      *world
	v      *volunteer
	people int // helped so far
}

// TestVolunteer follows a volunteer from the installation to the end of their help.
func TestVolunteer(t *testing.T) {
	forEach(t, func(ctx context.Context, t *testing.T, kind browsers.Kind) {
		w := newWorld(ctx, t)
		s := &story{ctx: ctx, t: t, w: w, v: newVolunteer(ctx, t, kind, w.config())}
		for _, part := range []struct {
			name string
			live func()
		}{
			{"switched on", s.switchedOn},
			{"carries files", s.carriesFiles},
			{"survives a restart", s.survivesRestart},
			{"helps two at once", s.helpsTwo},
			{"helps a deployed client", s.helpsDeployed},
			{"bears to be left alone", s.bearsToBeLeftAlone},
			{"bears the end of the relay", s.bearsEndOfRelay},
			{"bears a broker that is away", s.bearsBrokerAway},
			{"drains", s.drains},
		} {
			began := time.Now()
			part.live()
			t.Logf("%s: %v", part.name, time.Since(began).Round(time.Millisecond))
			if t.Failed() {
				return
			}
		}
	})
}

// switchedOn: the extension is off until the volunteer's click, and leaves the broker alone until then.
func (s *story) switchedOn() {
	s.v.await("off", func(n shown) bool { return n.Phase == "off" && n.On == "false" && n.Total == 0 })
	s.v.checkLooks("off")
	if n := s.w.broker.polls.Load(); n != 0 {
		s.t.Errorf("%d polls before anybody switched it on", n)
	}
	s.v.set("maxClients", "1")
	s.v.switchOn()
	s.v.await("of an unrestricted network", func(n shown) bool { return n.NAT == "unrestricted" })
	s.v.checkLooks("polling")
	if err := s.w.WaitAvailable(s.ctx, 1); err != nil {
		s.t.Fatal(err)
	}
}

// carriesFiles: what a client sends and fetches is intact, and counted.
func (s *story) carriesFiles() {
	c := s.w.startClient(s.ctx, s.t)
	carry(s.ctx, s.t, c, bigFile)
	s.people++
	s.v.await("of one person", func(n shown) bool { return n.Now == 1 && s.counted(n) && n.Phase == "full" })
	s.v.checkLooks("helping")
	stopClient(s.t, c)
	s.v.await("of nobody now", func(n shown) bool { return n.Now == 0 && s.counted(n) && n.Phase == "polling" })
	s.checkBytes()
}

// counted says whether the people who were helped so far have been counted.
func (s *story) counted(n shown) bool {
	return n.Today == s.people && n.Week == s.people && n.Total == s.people
}

// byteError is by how much the bytes counted by the extension, those of messages, may differ from those of the relay's
// connections, which have the frames' headers in addition.
const byteError = 0.03

// checkBytes compares the bytes that were counted with those that went to and from the relay.
func (s *story) checkBytes() {
	s.t.Helper()
	want := float64(s.w.relay.up.Load() + s.w.relay.down.Load())
	ctx, cancel := context.WithTimeout(s.ctx, viewLimit)
	defer cancel()
	var view struct {
		Totals struct{ Today, Total struct{ Bytes float64 } }
	}
	err := until(ctx, func() (bool, string) {
		if err := evalInto(ctx, s.v.page, viewScript, &view); err != nil {
			return false, err.Error()
		}
		return math.Abs(view.Totals.Today.Bytes-want) < byteError*want && view.Totals.Today == view.Totals.Total, "the bytes are not right"
	})
	if err != nil {
		s.t.Errorf("%+v where %.0f went through: %v", view.Totals, want, err)
	}
}

// viewScript asks the background for a view, as the popup does.
const viewScript = `new Promise((done) => {
	const port = (globalThis.browser ?? chrome).runtime.connect({ name: "view" });
	port.onMessage.addListener((view) => { done(view); port.disconnect(); });
})`

// survivesRestart: a browser that was closed and opened goes on, with what it had counted.
func (s *story) survivesRestart() {
	s.v.quit()
	before := s.w.broker.polls.Load()
	s.v.start()
	s.v.await("on as before", func(n shown) bool { return n.On == "true" && n.Phase == "polling" && s.counted(n) })
	s.checkBytes()
	s.pollsAfter(before)
}

// pollsAfter waits until the broker has been asked again.
func (s *story) pollsAfter(before int64) {
	s.t.Helper()
	err := until(s.ctx, func() (bool, string) { return s.w.broker.polls.Load() > before, "no poll" })
	if err != nil {
		s.t.Fatal(err)
	}
}

// helpsTwo: as many people at once as the volunteer has chosen.
func (s *story) helpsTwo() {
	s.v.set("maxClients", "2")
	clients := []*stage.Client{s.w.startClient(s.ctx, s.t), s.w.startClient(s.ctx, s.t)}
	var talks []*talk
	for _, c := range clients {
		talks = append(talks, beginTalk(s.ctx, s.t, c))
		s.people++
	}
	s.v.await("of two people", func(n shown) bool { return n.Now == 2 && n.Phase == "full" && s.counted(n) })
	for _, k := range talks {
		k.say(s.t, "both at once")
	}
	stopClient(s.t, clients[0])
	s.v.await("of one person", func(n shown) bool { return n.Now == 1 && n.Phase == "polling" })
	talks[1].say(s.t, "still there")
	stopClient(s.t, clients[1])
	s.v.await("of nobody now", func(n shown) bool { return n.Now == 0 })
}

// helpsDeployed: the client that others have.
func (s *story) helpsDeployed() {
	program, err := exec.LookPath("snowflake-client")
	if err != nil {
		browsers.Missing(s.t, "no snowflake-client here; it is in the Debian package snowflake-client")
	}
	if err := s.w.WaitAvailable(s.ctx, 1); err != nil { // It would wait for 10 s after a refusal.
		s.t.Fatal(err)
	}
	c, err := s.w.StartClientProgram(s.ctx, program)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := c.Dial(s.ctx, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := stage.Get(s.ctx, conn, 3, 5_000_000, nil); err != nil {
		s.t.Error(err)
	}
	s.people++
	s.v.await("of one more person", s.counted)
	c.Kill() // It has no way to end cleanly.
	s.v.await("of nobody now", func(n shown) bool { return n.Now == 0 })
}

// leftAlone is longer than Firefox lets an extension's page be that seems to have nothing to do: 30 s.
const leftAlone = 40 * time.Second

// bearsToBeLeftAlone: with the popup closed, Chromium stops the extension's worker, and Firefox would stop its page, while a session
// goes on.
func (s *story) bearsToBeLeftAlone() {
	client := s.w.startClient(s.ctx, s.t)
	k := beginTalk(s.ctx, s.t, client)
	s.people++
	s.v.await("of one person", func(n shown) bool { return n.Now == 1 })
	if err := s.v.page.close(s.ctx); err != nil {
		s.t.Fatal(err)
	}
	s.v.page = nil
	relayed := s.w.relay.accepted.Load()
	if c, ok := s.v.driver.(*chromium); ok {
		if err := c.stopWorker(s.ctx); err != nil {
			s.t.Fatal(err)
		}
	} else {
		s.wait(time.Now().Add(leftAlone))
	}
	k.say(s.t, "still there")
	carry(s.ctx, s.t, client, 1_000_000)
	if n := s.w.relay.accepted.Load(); n != relayed {
		s.t.Errorf("%d new connections at the relay", n-relayed)
	}
	if s.v.kind == browsers.Chromium() {
		s.v.showPopup()
		s.v.await("of one person", func(n shown) bool { return n.Now == 1 && s.counted(n) })
		stopClient(s.t, client)
	} else { // It shows the popup when it starts only.
		stopClient(s.t, client)
		s.nobodyAtRelay()
		s.v.quit()
		s.v.start()
	}
	s.v.await("of nobody now", func(n shown) bool { return n.Now == 0 && s.counted(n) && n.Phase == "polling" })
	s.checkBytes()
}

// wait waits for a time, since that time is what the test is of.
func (s *story) wait(end time.Time) {
	s.t.Helper()
	select {
	case <-time.After(time.Until(end)):
	case <-s.ctx.Done():
		s.t.Fatal(context.Cause(s.ctx))
	}
}

// nobodyAtRelay waits until all sessions have ended.
func (s *story) nobodyAtRelay() {
	s.t.Helper()
	err := until(s.ctx, func() (bool, string) { return s.w.relay.open.Load() == 0, "a session does not end" })
	if err != nil {
		s.t.Fatal(err)
	}
}

// bearsEndOfRelay: the bridge dies in a session. The popup says what is wrong, and no longer says so when it is there again.
func (s *story) bearsEndOfRelay() {
	c := s.w.startClient(s.ctx, s.t)
	beginTalk(s.ctx, s.t, c)
	s.people++
	s.v.await("of one person", func(n shown) bool { return n.Now == 1 })
	s.w.Server().Kill()
	s.v.await("of a relay that is gone", func(n shown) bool { return n.Now == 0 && n.Trouble == "relay-unreachable" })
	s.v.checkLooks("error")
	c.Kill() // It would go on to look for its session.
	if err := s.w.StartServer(s.ctx); err != nil {
		s.t.Fatal(err)
	}
	s.serves()
}

// serves shows that the volunteer helps another client.
func (s *story) serves() {
	s.t.Helper()
	c := s.w.startClient(s.ctx, s.t)
	carry(s.ctx, s.t, c, 100_000)
	s.people++
	s.v.await("of one person", func(n shown) bool { return n.Now == 1 && s.counted(n) })
	stopClient(s.t, c)
	s.v.await("well", func(n shown) bool { return n.Now == 0 && n.Phase == "polling" && n.Trouble == "" })
}

// bearsBrokerAway: the popup says that the broker is not there, the polls become rare, and all is well by itself when it is back.
func (s *story) bearsBrokerAway() {
	gone := time.Now()
	if err := s.w.Broker().Stop(); err != nil {
		s.t.Fatal(err)
	}
	before := s.w.broker.polls.Load()
	s.pollsAfter(before)
	if s.v.kind == browsers.Chromium() {
		s.v.await("of a broker that is away", func(n shown) bool { return n.Trouble == "broker-unreachable" && n.On == "true" })
		s.wait(gone.Add(brokerAway))
		// Where one that comes back every second or so would ask sixty times.
		if n := s.w.broker.polls.Load() - before; n > mostAway {
			s.t.Errorf("%d polls while the broker was away", n)
		}
	}
	if err := s.w.StartBroker(s.ctx); err != nil {
		s.t.Fatal(err)
	}
	s.v.await("of a broker that is back", func(n shown) bool { return n.Trouble != "broker-unreachable" && n.Phase == "polling" })
	s.serves()
}

// drains: switched off, it asks for nobody else, but lets the one who is there end in peace.
func (s *story) drains() {
	c := s.w.startClient(s.ctx, s.t)
	k := beginTalk(s.ctx, s.t, c)
	s.v.await("of one person", func(n shown) bool { return n.Now == 1 })
	s.v.click("#toggle")
	s.v.await("draining", func(n shown) bool { return n.Phase == "draining" && n.On == "false" && n.Now == 1 })
	k.say(s.t, "still there")
	polls := s.w.broker.polls.Load()
	carry(s.ctx, s.t, c, 1_000_000)
	stopClient(s.t, c)
	s.v.await("off", func(n shown) bool { return n.Phase == "off" && n.On == "false" && n.Now == 0 })
	if n := s.w.broker.polls.Load(); n != polls {
		s.t.Errorf("%d polls after it was switched off", n-polls)
	}
	err := until(s.ctx, func() (bool, string) {
		n, err := s.w.Available(s.ctx)
		return err == nil && n == 0, fmt.Sprintf("the broker knows %d volunteers: %v", n, err)
	})
	if err != nil {
		s.t.Error(err)
	}
}
