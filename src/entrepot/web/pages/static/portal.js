// Shows the copy buttons and makes them work. Without this file every text can still be
// selected and copied by hand.
"use strict";

for (const button of document.querySelectorAll("button[data-copies]")) {
  const field = document.getElementById(button.dataset.copies);
  const report = document.getElementById("copy-report");
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.focus();
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      report.textContent = button.dataset.done;
    } catch {
      report.textContent = "It is selected now: press Ctrl+C or ⌘C.";
    }
  });
}
