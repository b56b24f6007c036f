import { mount } from "../ui/view.ts";
import { browserWords } from "../ui/words.ts";
import { RuntimeBackend } from "./backend.ts";

mount(document.querySelector("main") as HTMLElement, new RuntimeBackend(), browserWords(), { kind: "popup" });
