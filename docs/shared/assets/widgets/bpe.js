// css: widgets.css
// Learning BPE (5.2.4): step through the merges of a text of your own.
// Merges and ties are those of happyllm.tokenizer.train_bpe: the most frequent pair, and of equals
// the one with the smaller numbers, where the bytes are numbered as GPT-2 numbers them.

(() => {
  const WORDS = {
    en: {
      title: "Learn the merges of a text",
      lead: "Type something. Each step joins the pair that stands side by side most often. ␣ is a space; bytes that are no character by themselves are shown as hexadecimal numbers.",
      text: "Text",
      start: "low lower lowest, new newer newest 好过 好过",
      back: "Back",
      next: "Next merge",
      end: "All merges",
      again: "From the start",
      pieces: "The pieces, each as often as it occurs",
      best: "Most frequent pairs now",
      merges: "Merges so far",
      none: "None yet.",
      over: "No two tokens stand side by side any more: every piece is one token.",
      empty: "There is nothing to count yet.",
      sizes: (tokens, bytes, vocab) => `${tokens} tokens for ${bytes} bytes · vocabulary 256 + ${vocab}`,
      times: (n) => `${n}×`,
      said: (merge, tokens) => `${merge}. ${tokens} tokens.`,
    },
    zh: {
      title: "从一段文字学习合并",
      lead: "随便输入一些文字。每一步把最常挨在一起的一对接起来。␣ 表示空格；单独不成字符的字节写成十六进制数。",
      text: "文字",
      start: "low lower lowest, new newer newest 好过 好过",
      back: "退一步",
      next: "下一条合并",
      end: "全部合并",
      again: "从头再来",
      pieces: "切成的块，以及各出现几次",
      best: "眼下最常见的几对",
      merges: "已经学到的合并",
      none: "还没有。",
      over: "再没有两个 token 挨在一起：每一块都是一个 token 了。",
      empty: "还没有东西可数。",
      sizes: (tokens, bytes, vocab) => `${bytes} 个字节，${tokens} 个 token · 词表 256 + ${vocab}`,
      times: (n) => `${n} 次`,
      said: (merge, tokens) => `${merge}。${tokens} 个 token。`,
    },
  };

  // --- the algorithm ----------------------------------------------------------------------------

  // GPT-2's pattern, as in happyllm.tokenizer.pre_tokenize
  const PIECES = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
  const SHOWN = 60; // pieces that are drawn

  const visible = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  const all = Array.from({ length: 256 }, (_, b) => b);
  const BYTES = [...all.filter(visible), ...all.filter((b) => !visible(b))]; // in their order
  const NUMBER = new Map(BYTES.map((b, i) => [b, i]));

  /** The different pieces of a text as numbers, and how often each occurs. */
  function counted(text) {
    const counts = new Map();
    for (const piece of text.match(PIECES) ?? []) counts.set(piece, (counts.get(piece) ?? 0) + 1);
    const numbers = (piece) => Array.from(new TextEncoder().encode(piece), (b) => NUMBER.get(b));
    return Array.from(counts, ([piece, count]) => ({ tokens: numbers(piece), count }));
  }

  /** The pairs of neighbours, the best first. */
  function ranked(pieces) {
    const pairs = new Map();
    for (const { tokens, count } of pieces) {
      for (let i = 0; i + 1 < tokens.length; i++) {
        const key = `${tokens[i]},${tokens[i + 1]}`;
        const pair = pairs.get(key) ?? { left: tokens[i], right: tokens[i + 1], count: 0 };
        pair.count += count;
        pairs.set(key, pair);
      }
    }
    return [...pairs.values()].sort(
      (a, b) => b.count - a.count || a.left - b.left || a.right - b.right,
    );
  }

  /** A piece after a merge, from left to right. */
  function merged(tokens, { left, right }, made) {
    const out = [];
    for (let i = 0; i < tokens.length; i++) {
      const fits = tokens[i] === left && tokens[i + 1] === right;
      out.push(fits ? made : tokens[i]);
      if (fits) i++;
    }
    return out;
  }

  // --- showing ----------------------------------------------------------------------------------

  const escaped = (text) =>
    text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

  /** Bytes as text where they are text, and as hexadecimal numbers where they are not. */
  function readable(bytes) {
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
        Uint8Array.from(bytes),
      );
      if (!/[\p{C}\p{Z}\p{M}]/u.test(text.replaceAll(" ", ""))) return text.replaceAll(" ", "␣");
    } catch {
      // part of a character
    }
    return bytes.map((b) => b.toString(16).toUpperCase().padStart(2, "0")).join(" ");
  }

  // --- the widget -------------------------------------------------------------------------------

  window.HappyLLM.widget("bpe", function mount(element, { lang }) {
    const words = WORDS[lang] ?? WORDS.en;
    element.classList.add("hl-bpe");
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", words.title);
    element.innerHTML = `
      <p class="hl-title">${words.title}</p>
      <p class="hl-aside">${words.lead}</p>
      <label class="hl-text">${words.text}
        <input name="text" type="text" maxlength="200" autocomplete="off" spellcheck="false"></label>
      <div class="hl-row">
        <button type="button" name="next">${words.next}</button>
        <button type="button" name="back">${words.back}</button>
        <button type="button" name="end">${words.end}</button>
        <button type="button" name="again">${words.again}</button>
      </div>
      <p class="hl-sizes"></p>
      <div><p class="hl-aside">${words.pieces}</p><div class="hl-pieces"></div></div>
      <div class="hl-lists">
        <div><p class="hl-aside">${words.best}</p><ol class="hl-best"></ol><p class="hl-over"></p></div>
        <div><p class="hl-aside">${words.merges}</p><ol class="hl-merges" start="0"></ol>
          <p class="hl-none">${words.none}</p></div>
      </div>
      <p class="hl-hidden" role="status"></p>`;

    const one = (selector) => element.querySelector(selector);
    const input = one("[name=text]");
    input.value = words.start;
    let states; // the pieces after 0, 1, … merges
    let merges; // { left, right, count }
    let bytes; // what each token stands for

    function start() {
      states = [counted(input.value)];
      merges = [];
      bytes = BYTES.map((b) => [b]);
      draw();
    }

    function step() {
      const pieces = states.at(-1);
      const [best] = ranked(pieces);
      if (!best) return false;
      const made = bytes.length;
      bytes.push([...bytes[best.left], ...bytes[best.right]]);
      merges.push(best);
      const after = ({ tokens, count }) => ({ tokens: merged(tokens, best, made), count });
      states.push(pieces.map(after));
      return true;
    }

    const token = (i, extra = "") =>
      `<span class="hl-token ${extra}">${escaped(readable(bytes[i]))}</span>`;
    const sum = ({ left, right, count }) =>
      `<li>${token(left)} + ${token(right)} <b>${words.times(count)}</b></li>`;

    function draw() {
      const pieces = states.at(-1);
      const pairs = ranked(pieces);
      const newest = merges.length ? bytes.length - 1 : -1;
      const tokens = pieces.reduce((n, piece) => n + piece.tokens.length * piece.count, 0);
      const size = new TextEncoder().encode(input.value).length;

      one(".hl-sizes").textContent = words.sizes(tokens, size, merges.length);
      const drawn = pieces
        .slice(0, SHOWN)
        .map(({ tokens: row, count }) => {
          const cut = row.map((i) => token(i, i === newest ? "hl-new" : "")).join("");
          const times = count > 1 ? `<b>${words.times(count)}</b>` : "";
          return `<span class="hl-piece">${cut}${times}</span>`;
        });
      if (pieces.length > SHOWN) drawn.push("…");
      one(".hl-pieces").innerHTML = drawn.join("");
      one(".hl-best").innerHTML = pairs.slice(0, 5).map(sum).join("");
      one(".hl-over").textContent = pairs.length ? "" : pieces.length ? words.over : words.empty;
      one(".hl-merges").innerHTML = merges.map(sum).join("");
      one(".hl-none").hidden = merges.length > 0;
      const list = one(".hl-merges");
      list.scrollTop = list.scrollHeight;

      for (const name of ["next", "end"]) one(`[name=${name}]`).disabled = !pairs.length;
      for (const name of ["back", "again"]) one(`[name=${name}]`).disabled = !merges.length;
    }

    function said() {
      const last = merges.at(-1);
      const named = last ? `${readable(bytes[last.left])} + ${readable(bytes[last.right])}` : "";
      const tokens = states.at(-1).reduce((n, one) => n + one.tokens.length * one.count, 0);
      one("[role=status]").textContent = words.said(named || words.none, tokens);
    }

    const does = {
      next: step,
      back() {
        states.pop();
        merges.pop();
        bytes.pop();
      },
      end() {
        while (step());
      },
      again: start,
    };
    for (const [name, action] of Object.entries(does)) {
      one(`[name=${name}]`).addEventListener("click", () => {
        action();
        draw();
        said();
      });
    }
    input.addEventListener("input", start);
    start();
  });
})();
