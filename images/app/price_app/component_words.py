"""The words of Streamlit's own components, which are English, in the language of the page; and its language.

A script in the page replaces them wherever the components write them. It also gives the page its language and
its direction, for the layout and for screen readers, and hides the names of icons from them.
"""

from __future__ import annotations

import json

import streamlit as st

from price_contract.language import N_, _, current, direction

# What a component writes as a whole, and the beginning or the end of what it writes around a name.
_WHOLE = {
    "No results": N_("Aucun résultat"),
    "Clear all": N_("Tout effacer"),
    "Clear value": N_("Effacer"),
    "Clear values": N_("Effacer"),
    "Upload": N_("Déposer"),
    "Browse files": N_("Parcourir"),
    "Drag and drop a file here": N_("Glissez un fichier ici"),
    "Drag and drop file here": N_("Glissez un fichier ici"),
    "Choose an option": N_("Choisir…"),
    "Choose or add an option": N_("Choisir ou saisir…"),
    "Page not found": N_("Page introuvable"),
    "Increment": N_("Augmenter"),
    "Decrement": N_("Diminuer"),
    "Help": N_("Aide"),
    "Close": N_("Fermer"),
}
_AROUND = {
    r"^Add: (.*)$": N_("Saisir : $1"),
    r"^Help for (.*)$": N_("Aide : $1"),
    r"^Remove (.*)$": N_("Retirer $1"),
    r"^(\S+) per file(.*)$": N_("$1 par fichier$2"),
    r"^(?:You have requested page|The page that you have requested).*$": N_(
        "Cette adresse n'existe pas. Voici la page d'accueil."
    ),
}

_SCRIPT = """<script>
(() => {
  const root = document.documentElement;
  root.lang = LANGUAGE;
  root.dir = DIRECTION;
  window.cpWords = { whole: WHOLE, around: AROUND };
  const said = (text) => {
    const trimmed = text.trim(), { whole, around } = window.cpWords;
    if (!trimmed || trimmed.length > 200) return null;
    if (Object.hasOwn(whole, trimmed)) return whole[trimmed];
    for (const [pattern, words] of around) {
      const found = new RegExp(pattern);
      if (found.test(trimmed)) return trimmed.replace(found, words);
    }
    return null;
  };
  // What to show where a component wrote `text`: what stands there may be our words in another language.
  const shown = (node, place, text) => {
    const known = (node.cpWords ??= {})[place];
    const english = known?.ours === text ? known.english : text;
    const ours = said(english) ?? english;
    node.cpWords[place] = { english, ours };
    return ours;
  };
  // An arrow that means forwards or back turns with the direction of the page.
  const turn = (icon) =>
    icon.toggleAttribute('data-cp-turns', /_(back|forward|left|right)$/.test(icon.textContent.trim()));
  const mend = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.parentElement?.dataset.testid === 'stIconMaterial') turn(node.parentElement);
      const ours = '[data-testid="stHtml"], [data-testid="stMarkdown"], script, style';
      const own = node.parentElement?.closest(ours);
      const words = own ? node.data : shown(node, 'text', node.data);
      if (words !== node.data) node.data = words;
      return;
    }
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.dataset.testid === 'stIconMaterial') {
      node.setAttribute('aria-hidden', 'true');
      turn(node);
    }
    for (const name of ['aria-label', 'title', 'placeholder']) {
      if (!node.hasAttribute(name)) continue;
      const words = shown(node, name, node.getAttribute(name));
      if (words !== node.getAttribute(name)) node.setAttribute(name, words);
    }
    node.childNodes.forEach(mend);
  };
  mend(document.body);
  window.cpObserver?.disconnect();
  window.cpObserver = new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === 'childList') change.addedNodes.forEach(mend);
      else mend(change.target);
    }
  });
  window.cpObserver.observe(document.body, {
    subtree: true, childList: true, characterData: true, attributes: true,
    attributeFilter: ['aria-label', 'title', 'placeholder'],
  });
})();
</script>"""


def translate() -> None:
    """Put the script into the page, for the language that is on."""
    own = current() == "en"
    whole = {} if own else {english: _(words) for english, words in _WHOLE.items()}
    around = [] if own else [(pattern, _(words)) for pattern, words in _AROUND.items()]
    script = _SCRIPT
    values = (("LANGUAGE", current()), ("DIRECTION", direction()), ("WHOLE", whole), ("AROUND", around))
    for name, value in values:
        script = script.replace(name, json.dumps(value, ensure_ascii=False).replace("</", "<\\/"), 1)
    st.html(script, unsafe_allow_javascript=True)
