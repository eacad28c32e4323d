// Draws the page's controls (Jupyter widgets) when the first of them comes near the view.
//
// The widget manager is large, so a page that has no control never asks for it, and a page that has one asks only
// when a reader scrolls towards it. Everything comes from this site.
(() => {
  "use strict";
  const base = new URL("./widgets", document.currentScript.src).href;

  const load = (name) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${base}/${name}`;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${script.src} could not be loaded`));
      document.head.append(script);
    });

  // The manager brings an old Font Awesome, twice, whose styles would replace the icons of this site.
  const keepIcons = () =>
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes)
        for (const node of addedNodes)
          if (node.nodeName === "STYLE" && node.textContent.includes("Font Awesome")) node.remove();
    }).observe(document.head, { childList: true });

  const draw = async (places) => {
    try {
      keepIcons();
      await load("require.js");
      // "anywidget" and any other widget module is looked up beside the manager, never on another site.
      window.require.config({ baseUrl: base });
      await load("embed-amd.js");
      // embed-amd.js draws every control of the page by itself once the page has loaded.
    } catch (error) {
      for (const place of places) {
        const message = document.createElement("p");
        message.className = "control-failed";
        message.setAttribute("role", "status");
        message.textContent = "This control could not be loaded. Reload the page to try again.";
        place.append(message);
      }
      console.error(error);
    }
  };

  const start = () => {
    const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
    const places = Array.from(views, (view) => view.parentElement);
    if (places.length === 0) return;
    for (const place of places) place.classList.add("control");
    const watcher = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        watcher.disconnect();
        draw(places);
      },
      { rootMargin: "600px 0px" },
    );
    for (const place of places) watcher.observe(place);
  };

  // After "load", so that require.js cannot come between the page's other scripts.
  if (document.readyState === "complete") start();
  else window.addEventListener("load", start);
})();
