// css: widgets.css
// What may be drawn (5.3.6): temperature, top-k, top-p and min-p on the scores of ten words.
// The same rules, in the same order, as happyllm.llama.sampling.

(() => {
  const WORDS = {
    en: {
      title: "What may be drawn?",
      lead: "Ten words and their scores. Outlined: the probabilities as the model gave them. Filled: what is drawn from.",
      places: "The model is",
      sure: "sure: “She found the hat in the …”",
      unsure: "unsure: “Tom went to the …”",
      temperature: "Temperature τ",
      k: "Top-k",
      p: "Top-p",
      m: "Min-p",
      off: "off",
      reset: "All off",
      kept: (n, share) =>
        `${n === 1 ? "One word" : `${n} words`} may be drawn. The model had given ${n === 1 ? "it" : "them"} ${share} together.`,
      drawing: "Probabilities before and after the filters",
      row: (word, before, after) => `${word}: ${before}, now ${after}`,
      out: "out",
      list: ["garden", "yard", "park", "house", "school", "forest", "shop", "river", "moon", "soup"],
    },
    zh: {
      title: "哪些词可以抽？",
      lead: "十个词和它们的分数。空心：模型给出的概率。实心：真正用来抽的概率。",
      places: "模型",
      sure: "有把握：“她在……找到了帽子”",
      unsure: "没把握：“汤姆去了……”",
      temperature: "温度 τ",
      k: "Top-k",
      p: "Top-p",
      m: "Min-p",
      off: "关",
      reset: "全部关闭",
      kept: (n, share) => `有 ${n} 个词可以抽。模型原本一共给了${n === 1 ? "它" : "它们"} ${share}。`,
      drawing: "过滤前后的概率",
      row: (word, before, after) => `${word}：${before}，现在 ${after}`,
      out: "出局",
      list: ["花园", "院子", "公园", "家", "学校", "森林", "商店", "河边", "月亮", "汤"],
    },
  };

  const SCORES = {
    sure: [6.2, 4.1, 3.4, 2.2, 1.9, 1.5, 1.0, 0.6, -0.4, -1.5],
    unsure: [3.1, 3.0, 3.2, 2.6, 2.9, 2.7, 2.8, 2.5, 0.9, -0.8],
  };

  function softmax(scores) {
    const most = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - most));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }

  /** What is drawn from: each filter judges what the one before has left. */
  function filtered(scores, temperature, k, p, m) {
    let left = scores.map((score) => score / temperature);
    const ruleOut = (out) => {
      left = left.map((score, i) => (out(i) ? -Infinity : score));
    };
    if (k < left.length) {
      const threshold = [...left].sort((a, b) => b - a)[k - 1];
      const now = left;
      ruleOut((i) => now[i] < threshold);
    }
    if (p < 1) {
      const probs = softmax(left);
      const order = probs.map((_, i) => i).sort((a, b) => probs[b] - probs[a]);
      let before = 0;
      const out = new Set();
      for (const i of order) {
        if (before >= p) out.add(i);
        before += probs[i];
      }
      ruleOut((i) => out.has(i));
    }
    if (m > 0) {
      const probs = softmax(left);
      const least = m * Math.max(...probs);
      ruleOut((i) => probs[i] < least);
    }
    return softmax(left);
  }

  window.HappyLLM.widget("sampling", function mount(element, { lang }) {
    const words = WORDS[lang] ?? WORDS.en;
    const range = (name, label, min, max, step, value) =>
      `<label class="hl-range">${label}<b aria-hidden="true"></b>
      <input name="${name}" type="range" min="${min}" max="${max}" step="${step}" value="${value}"></label>`;
    const place = (name, checked) =>
      `<label><input type="radio" name="place" value="${name}"${checked}>${words[name]}</label>`;
    element.classList.add("hl-sampling");
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", words.title);
    element.innerHTML = `
      <p class="hl-title">${words.title}</p>
      <p class="hl-aside">${words.lead}</p>
      <fieldset><legend>${words.places}</legend>
        <div class="hl-choice">${place("sure", " checked")}${place("unsure", "")}</div></fieldset>
      <div class="hl-controls">
        ${range("temperature", words.temperature, 0.1, 3, 0.1, 1)}
        ${range("k", words.k, 1, 10, 1, 10)}
        ${range("p", words.p, 0.05, 1, 0.05, 1)}
        ${range("m", words.m, 0, 1, 0.05, 0.1)}
      </div>
      <div class="hl-row hl-screen"><button type="button">${words.reset}</button></div>
      <div class="hl-odds" role="img" aria-label="${words.drawing}"></div>
      <p class="hl-verdict"></p>
      <p class="hl-hidden" role="status"></p>`;

    const one = (selector) => element.querySelector(selector);
    const knobs = ["temperature", "k", "p", "m"].map((name) => one(`[name=${name}]`));
    const off = { k: "10", p: "1", m: "0" };
    const percent = (share) => `${(100 * share).toFixed(1)} %`;
    let saying;

    function draw() {
      const scores = SCORES[one("[name=place]:checked").value];
      for (const knob of knobs) {
        const isOff = off[knob.name] === knob.value;
        knob.previousElementSibling.textContent = isOff ? words.off : knob.value;
        knob.setAttribute("aria-valuetext", isOff ? words.off : knob.value);
      }
      const before = softmax(scores);
      const after = filtered(scores, ...knobs.map((knob) => Number(knob.value)));
      const rows = words.list.map((word, i) => {
        const now = after[i] > 0 ? percent(after[i]) : words.out;
        return `<div class="hl-odd${after[i] > 0 ? "" : " hl-gone"}"><span>${word}</span>
          <span class="hl-bar"><i style="width:${(100 * after[i]).toFixed(2)}%"></i><u
          style="width:${(100 * before[i]).toFixed(2)}%"></u></span><b>${now}</b></div>`;
      });
      const odds = one(".hl-odds");
      odds.innerHTML = rows.join("");
      const told = words.list.map((word, i) =>
        words.row(word, percent(before[i]), after[i] > 0 ? percent(after[i]) : words.out),
      );
      odds.setAttribute("aria-label", `${words.drawing}: ${told.join("; ")}`);
      const kept = after.filter((share) => share > 0).length;
      const share = before.reduce((sum, share, i) => sum + (after[i] > 0 ? share : 0), 0);
      const verdict = one(".hl-verdict");
      verdict.textContent = words.kept(kept, percent(share));
      clearTimeout(saying); // read out where the reader comes to rest
      saying = setTimeout(() => {
        one("[role=status]").textContent = verdict.textContent;
      }, 700);
    }

    for (const input of element.querySelectorAll("input")) input.addEventListener("input", draw);
    one("button").addEventListener("click", () => {
      for (const knob of knobs) knob.value = off[knob.name] ?? "1";
      draw();
    });
    draw();
  });
})();
