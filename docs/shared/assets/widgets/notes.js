// css: widgets.css
// The reader's own notes: a text field that stays in this browser, and goes nowhere else.

(() => {
  const WORDS = {
    en: {
      label: "Your notes",
      promise: "They stay in this browser, on this computer. Nothing is sent anywhere.",
      hint: "Write here …",
      empty: "Nothing written yet.",
      writing: "Not saved yet …",
      saved: (time) => `Saved in this browser, ${time}.`,
      refused: "This browser does not let the page keep anything: export your notes before you leave.",
      full: "This browser has no room left: not saved. Export your notes before you leave.",
      export: "Export as a text file",
      clear: "Clear …",
      sure: "Delete these notes for good?",
      yes: "Delete",
      no: "Keep them",
      cleared: "Deleted.",
    },
    zh: {
      label: "你的笔记",
      promise: "笔记只保存在这台电脑的这个浏览器里，不会发送到任何地方。",
      hint: "写在这里……",
      empty: "还没有内容。",
      writing: "尚未保存……",
      saved: (time) => `已保存在此浏览器中，${time}。`,
      refused: "此浏览器不允许网页保存内容：离开之前请先导出笔记。",
      full: "此浏览器的存储空间已满，未能保存：离开之前请先导出笔记。",
      export: "导出为文本文件",
      clear: "清空……",
      sure: "确定要永久删除这些笔记吗？",
      yes: "删除",
      no: "保留",
      cleared: "已删除。",
    },
  };

  const PAUSE = 400; // milliseconds without a key before saving

  /** The browser's store, or null where it refuses: reading the property may already throw. */
  function openStore() {
    try {
      const probe = "happyllm.probe";
      localStorage.setItem(probe, "");
      localStorage.removeItem(probe);
      return localStorage;
    } catch {
      return null;
    }
  }

  /** A name where the page gives one, the same in both languages; else the page's address. */
  function keyOf(element) {
    return `happyllm.notes:${element.dataset.key ?? location.pathname}`;
  }

  function download(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  window.HappyLLM.widget("notes", function mount(element, { lang }) {
    const words = WORDS[lang] ?? WORDS.en;
    element.classList.add("hl-notes");
    element.innerHTML = `
      <label><span class="hl-title">${words.label}</span>
        <textarea rows="6" placeholder="${words.hint}"></textarea></label>
      <p class="hl-aside hl-screen">${words.promise}</p>
      <div class="hl-row">
        <button name="export" type="button">${words.export}</button>
        <button name="clear" type="button">${words.clear}</button>
        <span class="hl-row" role="group" aria-label="${words.sure}" hidden>
          <b>${words.sure}</b>
          <button name="yes" type="button">${words.yes}</button>
          <button name="no" type="button">${words.no}</button>
        </span>
        <p class="hl-state"></p>
      </div>
      <p class="hl-hidden" role="status"></p>
      <p class="hl-printed"></p>`;

    const field = element.querySelector("textarea");
    const printed = element.querySelector(".hl-printed");
    const question = element.querySelector("[role=group]");
    const button = (name) => element.querySelector(`[name=${name}]`);
    const store = openStore();
    const key = keyOf(element);
    const clock = () => new Date().toLocaleTimeString(lang, { hour: "2-digit", minute: "2-digit" });
    let waiting = null; // the timer of a save to come

    /** Show how things stand; say aloud only what is news, not each save while one writes. */
    function tell(text, aloud = false) {
      element.querySelector(".hl-state").textContent = text;
      if (aloud) element.querySelector("[role=status]").textContent = text;
    }

    /** Bring what depends on the text up to date with it. */
    function follow() {
      const none = field.value === "";
      button("export").disabled = none;
      button("clear").disabled = none;
      printed.textContent = field.value;
    }

    function save() {
      clearTimeout(waiting);
      waiting = null;
      if (!store) return;
      try {
        if (field.value === "") store.removeItem(key);
        else store.setItem(key, field.value);
        tell(field.value === "" ? words.empty : words.saved(clock()));
      } catch {
        tell(words.full, true);
      }
    }

    function saveIfWaiting() {
      if (waiting !== null) save();
    }

    /** Ask before deleting; the keyboard goes with the question, and back. */
    function ask(asking) {
      question.hidden = !asking;
      button("clear").hidden = asking;
      (asking ? button("no") : button("clear")).focus();
    }

    field.addEventListener("input", () => {
      follow();
      tell(store ? words.writing : words.refused);
      if (!store) return;
      clearTimeout(waiting);
      waiting = setTimeout(save, PAUSE);
    });
    window.addEventListener("pagehide", saveIfWaiting);
    window.addEventListener("storage", (event) => {
      if (event.key !== key || waiting !== null) return; // written in another tab
      field.value = event.newValue ?? "";
      follow();
    });

    button("export").addEventListener("click", () => {
      const name = key.replace(/^.*?:/, "").replace(/\W+/g, "-").replace(/^-|-$/g, "");
      download(`happyllm-${name || "notes"}.txt`, field.value);
    });
    button("clear").addEventListener("click", () => ask(true));
    button("no").addEventListener("click", () => ask(false));
    question.addEventListener("keydown", (event) => {
      if (event.key === "Escape") ask(false);
    });
    button("yes").addEventListener("click", () => {
      field.value = "";
      ask(false);
      follow();
      save();
      tell(words.cleared, true);
      field.focus();
    });

    field.value = store?.getItem(key) ?? "";
    if (!store) tell(words.refused, true);
    else if (field.value === "") tell(words.empty);
    follow();
  });
})();
