// Colours before the first paint: light, dark, or (nothing stored) what the system says.
"use strict";
{
  let stored = null;
  try { stored = localStorage.getItem("actorlab-theme"); } catch { /* a browser that keeps nothing */ }
  if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
}
