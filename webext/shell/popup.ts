import { mount } from "../ui/view.ts";
import { browserWords } from "../ui/words.ts";
import { RuntimeBackend } from "./backend.ts";

/** Shows the view in the popup's page. */
export function popup(): void {
	mount(document.querySelector("main") as HTMLElement, new RuntimeBackend(), browserWords(), { kind: "popup" });
}
