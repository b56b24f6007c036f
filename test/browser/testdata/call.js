// A peer in a web page: it answers the offer that the page's server has, takes a file over the data channel that the other end
// opens, and sends one of the same size. Each end sends the SHA-256 of what it got as text.
"use strict";

const size = Number(new URLSearchParams(location.search).get("size"));
const piece = 16384; // bytes of one message; crypto.getRandomValues gives 65536 at most
const highWater = 1 << 20; // bytes

const tell = (what, text) => fetch("report", { method: "POST", body: JSON.stringify({ what, text: String(text) }) });

const hex = buffer => [...new Uint8Array(buffer)].map(b => b.toString(16).padStart(2, "0")).join("");

async function answer(peer) {
  await peer.setRemoteDescription(await (await fetch("offer")).json());
  const gathered = new Promise(done => {
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done();
  });
  await peer.setLocalDescription();
  await gathered;
  await fetch("answer", { method: "POST", body: JSON.stringify(peer.localDescription) });
}

// receive takes a file, and tells its digest over the channel.
function receive(channel, file) {
  let got = 0;
  channel.onmessage = async event => {
    if (typeof event.data === "string") return;
    file.set(new Uint8Array(event.data), got);
    got += event.data.byteLength;
    if (got < size) return;
    channel.send(hex(await crypto.subtle.digest("SHA-256", file)));
    await send(channel);
  };
}

async function send(channel) {
  const file = new Uint8Array(size);
  channel.bufferedAmountLowThreshold = highWater / 2;
  for (let at = 0; at < size; at += piece) {
    const part = file.subarray(at, Math.min(at + piece, size));
    crypto.getRandomValues(part);
    if (channel.bufferedAmount > highWater) await new Promise(done => { channel.onbufferedamountlow = done; });
    channel.send(part);
  }
  channel.send(hex(await crypto.subtle.digest("SHA-256", file)));
}

let peer; // Firefox closes one that nothing refers to.

async function call() {
  peer = new RTCPeerConnection();
  peer.onconnectionstatechange = () => tell("state", peer.connectionState);
  peer.ondatachannel = event => {
    event.channel.binaryType = "arraybuffer";
    receive(event.channel, new Uint8Array(size));
  };
  try {
    await answer(peer);
  } catch (error) {
    tell("error", error);
  }
}

call();
