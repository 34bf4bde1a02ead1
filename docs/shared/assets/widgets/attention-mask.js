// css: widgets.css
// The causal mask (5.1.3.3), with and without a KV cache: which keys each query may see.
// The same rule as happyllm.llama.attention.causal_mask: query i sees key j where j <= i + S - T.

(() => {
  const WORDS = {
    en: {
      title: "Which keys may a query see?",
      lead: "P positions are in the cache already, T new tokens come in: T queries meet S = P + T keys. A dot: may see.",
      cached: "Cached positions P",
      fresh: "New tokens T",
      presets: "Cases",
      prefill: "prefill",
      step: "one step of writing",
      chunk: "a chunk after a prefix",
      query: "Query i",
      start: "Align to the start (wrong with a cache)",
      sees: (i, position, last, rule) =>
        `Query ${i} is at position ${position}: it sees keys 0 to ${last}, since j ≤ ${rule}.`,
      misses: (i, position, last, missed) =>
        `Aligned to the start, query ${i} (position ${position}) sees keys 0 to ${last} only: it misses ${missed}, itself among them.`,
      agree: "With nothing cached both alignments agree: the mistake shows only with a cache.",
      drawing: (T, S) => `Mask of ${T} queries by ${S} keys`,
      row: (i, last) => `query ${i} sees keys 0 to ${last}`,
    },
    zh: {
      title: "一个查询能看到哪些键？",
      lead: "缓存里已有 P 个位置，又来了 T 个新词元：T 个查询面对 S = P + T 个键。圆点表示看得到。",
      cached: "已缓存的位置数 P",
      fresh: "新词元数 T",
      presets: "情形",
      prefill: "预填充",
      step: "生成一步",
      chunk: "前缀之后再来一段",
      query: "查询 i",
      start: "与开头对齐（有缓存时是错的）",
      sees: (i, position, last, rule) =>
        `查询 ${i} 在位置 ${position}：能看到键 0 到 ${last}，因为 j ≤ ${rule}。`,
      misses: (i, position, last, missed) =>
        `与开头对齐时，查询 ${i}（位置 ${position}）只看到键 0 到 ${last}：漏掉了 ${missed} 个，连自己也看不到。`,
      agree: "没有缓存时，两种对齐方式相同：只有用了缓存，错误才会显现。",
      drawing: (T, S) => `${T} 个查询 × ${S} 个键的掩码`,
      row: (i, last) => `查询 ${i} 能看到键 0 到 ${last}`,
    },
  };

  const MOST = 8; // of P and of T

  /** The last key that query i sees: itself, P places after its row number. */
  const lastSeen = (i, T, S) => i + S - T;

  function drawing(width, T, P, chosen, fromStart) {
    const S = P + T;
    const cell = Math.min(36, (width - 34) / S);
    const [left, top] = [Math.max(30, (width - cell * S) / 2), 46];
    const font = Math.min(13, cell * 0.62).toFixed(1);
    const parts = [
      `<text class="hl-name" x="${left - 15}" y="${top - 8}">i \\ j</text>`,
      `<text class="hl-name hl-new" x="${left + cell * P + 5}" y="12">T = ${T}</text>`,
    ];
    const small = (x, y, text) => `<text style="font-size:${font}px" x="${x}" y="${y}">${text}</text>`;
    for (let j = 0; j < S; j++) parts.push(small(left + cell * (j + 0.5), top - 8, j));
    for (let i = 0; i < T; i++) {
      const y = top + cell * i;
      parts.push(`<text x="${left - 16}" y="${y + cell / 2 + 4.5}">${i}</text>`);
      for (let j = 0; j < S; j++) {
        const should = j <= lastSeen(i, T, S);
        const does = fromStart ? j <= i : should;
        const x = left + cell * j;
        const [cx, cy] = [x + cell / 2, y + cell / 2];
        const square = `<rect x="${x}" y="${y}" width="${cell}" height="${cell}"/>`;
        const dot = `<circle cx="${cx}" cy="${cy}" r="${cell / 5}"/>`;
        if (does) parts.push(`<g class="hl-seen">${square}${dot}</g>`);
        else if (should) parts.push(`<g class="hl-odd">${square}${small(cx, cy + 4.5, "✗")}</g>`);
        else parts.push(square);
      }
    }
    if (P > 0) {
      const x = left + cell * P;
      parts.push(`<path class="hl-border" d="M${x},2 V${top + cell * T + 6}"/>`);
      parts.push(`<text class="hl-name hl-old" x="${x - 5}" y="12">P = ${P}</text>`);
    }
    const y = top + cell * chosen;
    parts.push(`<rect class="hl-chosen" x="${left}" y="${y}" width="${cell * S}" height="${cell}"/>`);
    return { svg: parts.join(""), height: top + cell * T + 8 };
  }

  window.HappyLLM.widget("attention-mask", function mount(element, { lang }) {
    const words = WORDS[lang] ?? WORDS.en;
    const range = (name, label, min, value) => `<label class="hl-range">${label}<b aria-hidden="true"></b>
      <input name="${name}" type="range" min="${min}" max="${MOST}" value="${value}"></label>`;
    const preset = (name, P, T) =>
      `<button type="button" data-p="${P}" data-t="${T}">${name}</button>`;
    element.classList.add("hl-mask");
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", words.title);
    element.innerHTML = `
      <p class="hl-title">${words.title}</p>
      <p class="hl-aside">${words.lead}</p>
      <div class="hl-row hl-screen" role="group" aria-label="${words.presets}">
        ${preset(words.prefill, 0, 6)}${preset(words.step, 6, 1)}${preset(words.chunk, 4, 3)}
      </div>
      <div class="hl-controls">
        ${range("cached", words.cached, 0, 4)}
        ${range("fresh", words.fresh, 1, 3)}
        ${range("query", words.query, 0, 1)}
        <label class="hl-check"><input name="start" type="checkbox">${words.start}</label>
      </div>
      <svg role="img"></svg>
      <p class="hl-verdict"></p>
      <p class="hl-hidden" role="status"></p>`;

    const one = (selector) => element.querySelector(selector);
    const [cached, fresh, query, start] = ["cached", "fresh", "query", "start"].map((name) =>
      one(`[name=${name}]`),
    );
    const svg = one("svg");
    let saying;

    function draw() {
      const [P, T] = [Number(cached.value), Number(fresh.value)];
      const S = P + T;
      query.max = T - 1; // the browser pulls the value along
      const i = Number(query.value);
      for (const input of [cached, fresh, query]) {
        input.previousElementSibling.textContent = input.value;
      }

      const width = svg.clientWidth || 640;
      const { svg: content, height } = drawing(width, T, P, i, start.checked);
      const last = (row) => (start.checked ? row : lastSeen(row, T, S));
      const rows = Array.from({ length: T }, (_, row) => words.row(row, last(row)));
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.innerHTML = `<title>${words.drawing(T, S)}</title><desc>${rows.join("; ")}</desc>${content}`;

      const verdict = one(".hl-verdict");
      const missing = start.checked && P > 0;
      verdict.className = `hl-verdict ${missing ? "hl-bad" : start.checked ? "" : "hl-good"}`;
      verdict.textContent = missing
        ? words.misses(i, P + i, i, P)
        : start.checked
          ? words.agree
          : words.sees(i, P + i, last(i), `i + S − T = ${i} + ${S} − ${T} = ${last(i)}`);

      clearTimeout(saying); // read out where the reader comes to rest
      saying = setTimeout(() => {
        one("[role=status]").textContent = verdict.textContent;
      }, 700);
    }

    for (const input of [cached, fresh, query, start]) input.addEventListener("input", draw);
    for (const button of element.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        [cached.value, fresh.value] = [button.dataset.p, button.dataset.t];
        draw();
      });
    }
    new ResizeObserver(draw).observe(svg);
  });
})();
