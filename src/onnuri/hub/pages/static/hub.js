// Buttons that copy a text. Without this file all else works.
for (const button of document.querySelectorAll("button[data-copy]")) {
	button.hidden = false;
	button.addEventListener("click", async () => {
		const text = document.getElementById(button.dataset.copy).textContent;
		try {
			await navigator.clipboard.writeText(text);
		} catch { // no clipboard over plain http: the text is selected instead
			getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
			return;
		}
		button.textContent = button.dataset.done;
	});
}
