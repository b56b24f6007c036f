// One end of calls that are watched on the line: the page asks the server what to do, again and again, and does it. A call has one
// data channel, whose end that offered talks, and whose other end sends back what it hears.
"use strict";

const who = new URLSearchParams(location.search).get("who");

const sleep = ms => new Promise(done => setTimeout(done, ms));

const post = (path, body) => fetch("/" + path, { method: "POST", body });

// gathered waits for the first candidate, that for UDP. There is no more to come but one for TCP, which takes Chromium 50 ms.
function gathered(peer) {
  return new Promise(done => {
    peer.onicecandidate = done;
  });
}

// A voice gives what the other end says, message by message.
function voice(channel) {
  let heard = 0, wake = () => {};
  channel.binaryType = "arraybuffer";
  channel.onmessage = () => { heard++; wake(); };
  return async count => {
    while (heard < count) await new Promise(done => { wake = done; });
  };
}

async function talk(job, channel) {
  const heard = voice(channel);
  await new Promise(done => { channel.onopen = done; });
  let said = 0;
  for (const size of job.sizes) {
    channel.send(new Uint8Array(size));
    await heard(++said);
  }
  for (let i = 0; i < job.bulk; i++, said++) channel.send(new Uint8Array(job.bulkSize));
  await heard(said);
  await sleep(job.hold);
}

async function offer(job, peer) {
  const channel = peer.createDataChannel(job.label, { ordered: false });
  const all = gathered(peer);
  await peer.setLocalDescription();
  await all;
  const answer = await post(`offer?id=${job.id}`, JSON.stringify(peer.localDescription));
  if (!answer.ok) throw new Error("no answer");
  await peer.setRemoteDescription(await answer.json());
  await talk(job, channel);
}

async function answer(job, peer) {
  const ended = new Promise(done => {
    peer.ondatachannel = ({ channel }) => {
      channel.binaryType = "arraybuffer";
      channel.onmessage = ({ data }) => channel.send(data);
      channel.onclose = done;
    };
  });
  await peer.setRemoteDescription(JSON.parse(job.offer));
  const all = gathered(peer);
  await peer.setLocalDescription();
  await all;
  await post(`answer?id=${job.id}`, JSON.stringify(peer.localDescription));
  await ended;
}

// gather asks a STUN server, and does no more.
async function gather(job, peer) {
  peer.createDataChannel(job.label);
  await peer.setLocalDescription();
  await sleep(job.hold);
}

async function work(job) {
  const peer = new RTCPeerConnection(job.server ? { iceServers: [{ urls: job.server }] } : {});
  let error = "";
  try {
    const limit = sleep(job.limit).then(() => { throw new Error("too late"); });
    await Promise.race([{ offer, answer, gather }[job.role](job, peer), limit]);
  } catch (e) {
    error = String(e);
  }
  peer.close();
  await post(`done?id=${job.id}&role=${job.role}`, error);
}

async function run() {
  post(`hello?who=${who}`, navigator.userAgent);
  for (;;) {
    const reply = await fetch(`/job?who=${who}`);
    if (reply.status === 200) work(await reply.json());
  }
}

run();
