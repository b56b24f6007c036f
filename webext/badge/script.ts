/**
 * Loads a script of the badge and returns its element, through which a script may hand something over (document.currentScript). In a
 * sandboxed frame, whose origin is none, scripts load, while modules and data do not.
 */
export function loadScript(src: string): Promise<HTMLScriptElement> {
	return new Promise((resolve, reject) => {
		const script = document.createElement("script");
		script.src = src;
		script.onload = () => resolve(script);
		script.onerror = () => reject(new Error(`no ${src}`));
		document.head.append(script);
	});
}
