// Take the first sight away once Streamlit has drawn the page, or when the visitor goes to another one.
(() => {
  const sight = document.getElementById("first-sight");
  const page = location.pathname;
  const ended = "#root [data-test-script-state=notRunning]";
  const cards = [...sight.querySelectorAll(".cp-first-card")];
  const same = (card) => document.querySelector(`#root .st-key-offer_${cards.indexOf(card)}`);
  // Streamlit draws the frame of a card first, then its text and its link.
  const parts = ["article", "[data-testid=stPageLink]"];
  const finished = (card) => parts.every((part) => same(card)?.querySelector(part) !== null);
  const top = (card) => card.querySelector("article").getBoundingClientRect().top;
  let last = 0;

  const watcher = new MutationObserver(() => {
    if (location.pathname !== page) return away();
    const app = document.querySelector(ended);
    if (!app?.querySelector("h1, .st-key-state_screen")) return;
    // A slow browser draws the cards seconds after the script has ended. Other cars than these never come.
    last ||= setTimeout(takeOver, 10_000);
    if (cards.every(finished) || app.querySelector(".st-key-state_screen")) takeOver();
  });

  function away() {
    watcher.disconnect();
    clearTimeout(last);
    sight.remove();
  }

  // The reader stays where they are: at the same car, and at the same link.
  function takeOver() {
    const read = cards.find((card) => card.getBoundingClientRect().bottom > sight.getBoundingClientRect().top);
    const held = cards.find((card) => card.contains(document.activeElement));
    const [moved, place, words] = [sight.scrollTop > 0, read && top(read), document.activeElement.textContent];
    away();
    if (moved && read && same(read) && finished(read)) {
      document.querySelector("[data-testid=stMain]").scrollTop += top(same(read)) - place;
    }
    const links = held && same(held) ? [...same(held).querySelectorAll("a")] : [];
    links.find((link) => link.textContent.includes(words))?.focus({ preventScroll: true });
  }

  const attributeFilter = ["data-test-script-state"];
  watcher.observe(document.body, { childList: true, subtree: true, attributeFilter });
})();
