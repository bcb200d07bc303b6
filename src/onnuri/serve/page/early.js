// Before the first paint: the colours and language that this browser chose last.
try {
  const { theme, language } = JSON.parse(localStorage.getItem("onnuri-settings")) ?? {};
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  if (language === "en" || (!language && !navigator.language.startsWith("ko"))) document.documentElement.lang = "en";
} catch {
  // storage is blocked: the system's colours
}
