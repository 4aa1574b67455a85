// Take the first sight away once Streamlit has drawn the list, or a screen in its place.
(() => {
  const sight = document.getElementById("first-sight");
  const ended = "[data-test-script-state=notRunning]";
  const drawn = ["[data-testid=offer]", ".st-key-state_screen", ".st-key-no_offers", ".cp-notice.cp-bad"];
  const watcher = new MutationObserver(() => {
    const app = document.querySelector(`#root ${ended}`);
    if (!app?.querySelector(drawn.join())) return;
    watcher.disconnect();
    const cards = [...sight.querySelectorAll(".cp-first-card")];
    const read = sight.scrollTop > 0 ? cards.findIndex((card) => card.getBoundingClientRect().bottom > 60) : -1;
    sight.remove();
    // whoever reads the tenth car stays at the tenth car
    if (read > 0) app.querySelectorAll("[data-testid=offer]")[read]?.scrollIntoView();
  });
  const attributeFilter = ["data-test-script-state"];
  watcher.observe(document.body, { childList: true, subtree: true, attributeFilter });
})();
