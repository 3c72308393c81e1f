// What the page does beyond HTML: news by a stream, keys, the theme, what a chart says at a point.
// Everything works without it, only by hand.
"use strict";
(() => {
  const root = document.documentElement;
  const store = {
    get(name) { try { return localStorage.getItem("pgq-host." + name); } catch { return null; } },
    set(name, value) { try { value === null ? localStorage.removeItem("pgq-host." + name) : localStorage.setItem("pgq-host." + name, value); } catch { /* private mode */ } },
  };

  root.classList.add("scripted");
  const applyTheme = () => { const theme = store.get("theme"); if (theme) root.dataset.theme = theme; else delete root.dataset.theme; };
  applyTheme();

  document.addEventListener("DOMContentLoaded", () => {
    const body = document.body;
    const byId = (id) => document.getElementById(id);

    // Theme

    const themeNames = { light: "Light", dark: "Dark" };
    const themeButton = byId("theme");
    const sayTheme = () => { themeButton.querySelector("span").textContent = themeNames[store.get("theme")] || "System"; themeButton.setAttribute("aria-label", "Theme: " + themeButton.textContent.trim()); };
    const nextTheme = () => {
      const next = { null: "dark", dark: "light", light: null }[store.get("theme")];
      store.set("theme", next === undefined ? null : next);
      applyTheme();
      sayTheme();
    };
    if (themeButton) { themeButton.hidden = false; sayTheme(); themeButton.addEventListener("click", nextTheme); }

    // On a phone the places are wider than the screen.
    const place = document.querySelector('nav [aria-current="page"]'), places = place && place.closest("nav");
    if (places && places.scrollWidth > places.clientWidth) places.scrollLeft = place.offsetLeft - (places.clientWidth - place.offsetWidth) / 2;

    // News: a stream while the page is to be seen, none while it is not. A browser has six connections to a server.

    let source = null, frozen = false, retry = null, wait = 1000;
    const content = () => byId("content");
    const isLive = () => content() && content().hasAttribute("hx-get");
    const say = (state, text) => { body.dataset.liveState = state; const place = byId("live-text"); if (place && place.textContent !== text) place.textContent = text; };
    const isActing = () => document.querySelector("details.act[open], dialog[open]") || (content() && content().contains(document.activeElement) && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && document.activeElement.type !== "checkbox");
    const again = () => { if (isLive() && window.htmx) window.htmx.trigger(body, "live"); };
    const close = () => { if (source) source.close(); source = null; clearTimeout(retry); };
    const open = () => {
      close();
      if (document.hidden || frozen || !isLive()) return;
      source = new EventSource(body.dataset.live);
      source.addEventListener("tick", (event) => {
        wait = 1000;
        if (event.data === "down") say("down", "The database is silent"); else say("live", "Live");
        if (!isActing()) again();
      });
      source.onerror = () => {
        close();
        say("down", "Not connected, trying again");
        retry = setTimeout(open, wait * (0.75 + Math.random() / 2));
        wait = Math.min(wait * 2, 30000);
      };
    };
    const freeze = () => { frozen = !frozen; if (frozen) { close(); say("frozen", "Frozen"); } else { say("", "Connecting"); open(); again(); } };
    document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else { open(); if (!frozen) again(); } });
    if (isLive()) { say("", "Connecting"); open(); } else say("", "Reload for news");
    body.addEventListener("htmx:sendError", () => { if (!frozen) say("down", "Not connected, trying again"); });
    // An error page takes no place of a list: what is known stays, and its age is said.
    body.addEventListener("htmx:responseError", (event) => { say("down", "The server answers " + event.detail.xhr.status); });

    // What somebody opened or chose stays as it is when the page is read again.

    if (window.Idiomorph) {
      window.Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => !(name === "open" && element.tagName === "DETAILS") && !(name === "class" && element.tagName === "TR");
      window.Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) => !(old.nodeType === 1 && old.tagName === "INPUT" && old.type === "checkbox");
    }

    // What a chart says at a point

    const tip = byId("tip");
    document.addEventListener("pointermove", (event) => {
      const slot = event.target.closest && event.target.closest("[data-tip]");
      if (!slot) { tip.hidden = true; return; }
      tip.textContent = slot.dataset.tip;
      tip.hidden = false;
      const box = tip.getBoundingClientRect();
      tip.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
      tip.style.top = Math.max(8, event.clientY - box.height - 12) + "px";
    });

    // One form at a time; a click elsewhere or Escape closes it.

    document.addEventListener("click", (event) => {
      for (const one of document.querySelectorAll("details.act[open]")) if (!one.contains(event.target)) one.open = false;
    });
    document.addEventListener("toggle", (event) => {
      const one = event.target;
      if (one.matches && one.matches("details.act") && one.open) { const field = one.querySelector("input:not([type=hidden]), textarea, button"); if (field) field.focus(); }
    }, true);
    // Twice is once too often.
    document.addEventListener("submit", (event) => {
      const form = event.target;
      if (form.method !== "post") return;
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "1";
      setTimeout(() => { delete form.dataset.sent; }, 4000);
    });

    // The next page may take seconds to come: somebody has heard the click.
    const leaving = (is) => { body.toggleAttribute("data-leaving", is); const main = byId("main"); if (main) main.setAttribute("aria-busy", String(is)); };
    window.addEventListener("beforeunload", () => { leaving(true); setTimeout(leaving, 20000, false); });
    window.addEventListener("pageshow", () => leaving(false));

    // Keys

    const help = byId("help"), keysOn = byId("keys-on"), keysButton = byId("keys");
    keysOn.checked = store.get("keys") !== "off";
    keysOn.addEventListener("change", () => store.set("keys", keysOn.checked ? null : "off"));
    keysButton.hidden = false;
    keysButton.addEventListener("click", () => help.showModal());
    const rows = () => [...document.querySelectorAll("table.rows tbody tr, .rows-list > *")];
    const here = () => document.querySelector(".at");
    const move = (by) => {
      const all = rows();
      if (!all.length) return;
      const old = here(), place = old ? all.indexOf(old) : -1;
      const next = all[Math.max(0, Math.min(all.length - 1, place < 0 ? (by > 0 ? 0 : all.length - 1) : place + by))];
      if (old) old.classList.remove("at");
      next.classList.add("at");
      const link = next.querySelector("a.open") || next.querySelector("a");
      if (link) link.focus({ preventScroll: true });
      next.scrollIntoView({ block: "nearest" });
    };
    let before = 0;
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        const one = document.querySelector("details.act[open]");
        if (one) { one.open = false; one.querySelector("summary").focus(); }
        return;
      }
      const field = event.target.closest && event.target.closest("input:not([type=checkbox]), textarea, select");
      if (field || event.ctrlKey || event.metaKey || event.altKey || help.open || store.get("keys") === "off") return;
      if (before && Date.now() - before < 1500) {
        before = 0;
        const link = document.querySelector('[data-key="' + CSS.escape(event.key) + '"]');
        if (link) { event.preventDefault(); location.href = link.href; return; }
      }
      switch (event.key) {
        case "g": before = Date.now(); break;
        case "/": event.preventDefault(); byId("goto").focus(); break;
        case "?": event.preventDefault(); help.showModal(); break;
        case "j": event.preventDefault(); move(1); break;
        case "k": event.preventDefault(); move(-1); break;
        case "x": { const box = here() && here().querySelector("input[type=checkbox]"); if (box) box.click(); break; }
        case ".": freeze(); break;
        case "r": if (isLive()) again(); else location.reload(); break;
        case "t": nextTheme(); break;
      }
    });
  });
})();
