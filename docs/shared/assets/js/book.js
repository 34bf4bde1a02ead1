// The book's own script: formulas, interactive pieces, and the state of exercise cards.
// It asks nothing of any machine but the one that served the page.

(() => {
  const here = document.currentScript.src;
  const lang = document.documentElement.lang.startsWith("zh") ? "zh" : "en";

  // ---- formulas

  function renderMath() {
    for (const element of document.querySelectorAll(".arithmatex:not([data-done])")) {
      element.dataset.done = "";
      const source = element.textContent.trim();
      const displayMode = source.startsWith("\\[");
      try {
        katex.render(source.slice(2, -2), element, { displayMode });
      } catch (error) {
        console.error(`${error.message} in ${source}`);
      }
      if (displayMode && element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    }
  }

  // ---- interactive pieces: HappyLLM.widget("rope", (element, { lang }) => …)

  const mounts = new Map();
  const asked = new Set();

  function load(name, style) {
    if (asked.has(name)) return;
    asked.add(name);
    const folder = new URL("../widgets/", here);
    if (style && !asked.has(style)) {
      asked.add(style);
      const sheet = document.createElement("link");
      sheet.rel = "stylesheet";
      sheet.href = new URL(style, folder);
      document.head.append(sheet);
    }
    const script = document.createElement("script");
    script.src = new URL(`${name}.js`, folder);
    document.head.append(script);
  }

  function mountWidgets() {
    for (const element of document.querySelectorAll("[data-widget]:not([data-mounted])")) {
      const { widget, css } = element.dataset;
      const mount = mounts.get(widget);
      if (!mount) {
        load(widget, css);
        continue;
      }
      element.dataset.mounted = "";
      try {
        mount(element, { lang });
      } catch (error) {
        console.error(`widget ${widget}:`, error);
      }
    }
  }

  window.HappyLLM = {
    widget(name, mount) {
      mounts.set(name, mount);
      mountWidgets();
    },
  };

  // ---- the reader's own state, where `happyllm-grade docs` serves the page

  const SAID = {
    en: { solved: "solved", failing: "not yet right", untouched: "not begun", grading: "grading …" },
    zh: { solved: "已通过", failing: "未通过", untouched: "未开始", grading: "评测中……" },
  }[lang];

  function show(states) {
    for (const badge of document.querySelectorAll(".hl-badge[data-exercise]")) {
      const state = states[badge.dataset.exercise];
      badge.hidden = !state;
      if (!state) continue;
      const name = state.grading ? "grading" : state.name;
      badge.dataset.state = name;
      badge.textContent = SAID[name];
    }
    for (const place of document.querySelectorAll(".hl-card__said[data-exercise]")) {
      const state = states[place.dataset.exercise];
      const said = state && !state.grading ? state.said : "";
      if (place.textContent !== said) place.textContent = said;
    }
  }

  function listen() {
    const live = document.querySelector('meta[name="happyllm-live"]');
    if (!live || !document.querySelector("[data-exercise]")) return;
    let source = null;
    // One connection for each page that is seen: browsers allow six to a server.
    const follow = () => {
      if (document.hidden) {
        source?.close();
        source = null;
      } else if (!source) {
        source = new EventSource(`${live.content}?lang=${lang}`);
        source.onmessage = (event) => show(JSON.parse(event.data));
      }
    };
    document.addEventListener("visibilitychange", follow);
    follow();
  }

  // ---- when the page is there

  function openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    target?.closest("details")?.setAttribute("open", "");
  }

  /** The theme gives the search dialog no name; its field has one. */
  function nameSearch() {
    const dialog = document.querySelector(".md-search[role=dialog]");
    const field = dialog?.querySelector("input");
    if (field) dialog.setAttribute("aria-label", field.getAttribute("aria-label") ?? field.placeholder);
  }

  const ready = () => {
    if (window.katex) renderMath();
    mountWidgets();
  };
  if (window.document$) window.document$.subscribe(ready);
  else ready();
  listen();
  nameSearch();
  openTarget();
  addEventListener("hashchange", openTarget);
})();
