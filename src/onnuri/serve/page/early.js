// Before the first paint: the colours and the language that this browser chose last.
let saved = {};
try {
	saved = JSON.parse(localStorage.getItem("onnuri-settings")) ?? {};
} catch {
	// storage is blocked: the system's choice
}
const dark = saved.theme ? saved.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset.theme = dark ? "dark" : "light";
if (saved.language === "en" || (!saved.language && !navigator.language.startsWith("ko"))) document.documentElement.lang = "en";
