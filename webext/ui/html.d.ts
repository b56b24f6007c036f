/** Tests import markup as text (test.mjs). */
declare module "*.html" {
	const text: string;
	export default text;
}
