// A page that refreshes itself must say so when it no longer does: old figures look like good news.
(() => {
  const show = (stale) => {
    const notice = document.getElementById("stale");
    if (notice) notice.hidden = !stale;
  };
  const failed = ["htmx:sendError", "htmx:responseError", "htmx:timeout"];
  for (const name of failed) document.addEventListener(name, () => show(true));
  document.addEventListener("htmx:afterSwap", () => show(false));
})();
