// The extension in one script: what its pages share is there once, and all of it is compressed together.
import { popup } from "../shell/popup.ts";
import { backgroundPage } from "./background.ts";

if (location.pathname === "/popup.html") popup();
else backgroundPage();
