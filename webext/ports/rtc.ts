import type { Peer } from "../core/ports.ts";

/** Makes a WebRTC connection; throws where there is none to be had. */
export const newPeer = (stunServers: string[]): Peer =>
	new RTCPeerConnection({ iceServers: stunServers.map((urls) => ({ urls })) });
