// The extension in one script: what its pages share is there once, and all of it is compressed together.
import { popup } from "../shell/popup.ts";
import { offscreenDocument } from "./offscreen.ts";
import { serviceWorker } from "./sw.ts";

switch (location.pathname) {
	case "/popup.html":
		popup();
		break;
	case "/offscreen.html":
		offscreenDocument();
		break;
	default:
		serviceWorker();
}
