// A volunteer in a web page, with nothing but what every browser has. The page's address names what it works with:
// ?broker=URL (several times for several brokers), &pattern=TEXT, and &stun=URL if there is one. What it sees it tells the server of the page.
"use strict";

const query = new URLSearchParams(location.search);
const pattern = query.get("pattern");

const gatherLimit = 3750; // ms, spec section 3.5
const openLimit = 20000; // ms, spec section 3.5
const highWater = 512 * 1024; // bytes, spec section 6

const sleep = ms => new Promise(done => setTimeout(done, ms));

// tell reports one thing that happened.
function tell(what, more) {
  fetch("report", { method: "POST", body: JSON.stringify({ what, ...more }) });
}

// post sends JSON to the broker. A body of plain text needs no preflight.
async function post(url, body) {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

// volunteer serves one client of a broker after the other.
async function volunteer(broker) {
  for (;;) {
    const sid = Math.random().toString(36).slice(2);
    try {
      const match = await post(broker + "proxy",
        { Sid: sid, Version: "1.3", Type: "badge", NAT: "unknown", Clients: 0, AcceptedRelayPattern: pattern });
      if (match.Status === "client match") await serve(broker, sid, match);
    } catch (error) {
      tell("error", { text: String(error) });
    }
    await sleep(500);
  }
}

// serve answers one offer and copies until either end closes.
async function serve(broker, sid, match) {
  const offer = JSON.parse(match.Offer);
  const relay = new URL(match.RelayURL);
  if (!relay.hostname.endsWith(pattern)) throw new Error(`relay at ${relay.hostname}`);
  const client = offer.sdp.match(/^a=candidate:\S+ \d+ \S+ \d+ (\S+) /m);
  if (client) relay.searchParams.set("client_ip", client[1]);

  const peer = new RTCPeerConnection({ iceServers: query.getAll("stun").map(urls => ({ urls })) });
  // What comes before somebody listens is lost, and the broker's reply may be later than the channel.
  const opened = new Promise(done => {
    peer.ondatachannel = ({ channel }) => done({ channel, copied: copy(channel, relay) });
  });
  const gathered = new Promise(done => {
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done();
  });
  try {
    await peer.setRemoteDescription(offer);
    await peer.setLocalDescription();
    await Promise.race([gathered, sleep(gatherLimit)]);
    const answer = peer.localDescription;
    tell("answer", { broker, sdp: answer.sdp });
    const reply = await post(broker + "answer", { Version: "1.0", Sid: sid, Answer: JSON.stringify(answer) });
    if (reply.Status !== "success") throw new Error(`answer: ${reply.Status}`);
    const open = await Promise.race([opened, sleep(openLimit)]);
    if (!open) throw new Error("no data channel");
    tell("channel", { broker, label: open.channel.label, ordered: open.channel.ordered });
    tell("end", { broker, ...await open.copied });
  } finally {
    peer.close();
  }
}

// copy hands on each message of the channel as one message of a WebSocket, and back. It counts them.
function copy(channel, relay) {
  const socket = new WebSocket(relay);
  const up = { count: 0, bytes: 0, longest: 0 }, down = { count: 0, bytes: 0, longest: 0 };
  const early = [], waiting = []; // for a socket that is not open yet, and for a channel that is full
  const count = (way, data) => {
    way.count++;
    way.bytes += data.byteLength;
    way.longest = Math.max(way.longest, data.byteLength);
  };
  const drain = () => {
    while (waiting.length > 0 && channel.readyState === "open" && channel.bufferedAmount < highWater) channel.send(waiting.shift());
  };
  channel.binaryType = socket.binaryType = "arraybuffer";
  channel.bufferedAmountLowThreshold = highWater / 2;
  channel.onbufferedamountlow = drain;
  channel.onmessage = ({ data }) => {
    if (data.byteLength === 0) return; // spec section 6
    count(up, data);
    if (socket.readyState === WebSocket.OPEN) socket.send(data); else early.push(data);
  };
  socket.onopen = () => early.splice(0).forEach(data => socket.send(data));
  socket.onmessage = ({ data }) => {
    count(down, data);
    waiting.push(data);
    drain();
  };
  return new Promise(done => {
    channel.onclose = channel.onerror = socket.onclose = socket.onerror = event => {
      channel.close();
      socket.close();
      done({ up, down, text: `${event.type} of the ${event.target === socket ? "relay" : "client"}` });
    };
  });
}

tell("start", { text: navigator.userAgent });
query.getAll("broker").forEach(volunteer);
