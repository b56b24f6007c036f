// A page that answers the offers of the page's server with its camera and its microphone.
"use strict";

const tell = text => fetch("report", { method: "POST", body: JSON.stringify({ what: "error", text: String(text) }) });

const peers = []; // Firefox closes one that nothing refers to.

async function call(at) {
  const peer = new RTCPeerConnection();
  peers.push(peer);
  await peer.setRemoteDescription(await (await fetch(at + "/offer")).json());
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });
  for (const track of media.getTracks()) peer.addTrack(track, media);
  const gathered = new Promise(done => {
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done();
  });
  await peer.setLocalDescription();
  await gathered;
  await fetch(at + "/answer", { method: "POST", body: JSON.stringify(peer.localDescription) });
}

for (const at of ["active", "passive"]) call(at).catch(tell);
