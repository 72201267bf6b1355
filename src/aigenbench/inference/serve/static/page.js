"use strict";
(() => {
  const AT_ONCE = 2, MOST_TRIES = 20;
  const form = document.querySelector("form.drop");
  const input = document.getElementById("image");
  const results = document.getElementById("results");
  const status = document.getElementById("status");
  document.documentElement.classList.add("js");

  const waiting = [];
  let running = 0, done = 0, total = 0;

  const tell = () => {
    status.textContent = done < total ? `Looking: ${done} of ${total} done` : total === 1 ? "Done" : `${total} pictures done`;
  };
  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

  // one picture a request: each answer is shown as it comes
  const ask = async (file, withMap) => {
    if (file.size > Number(form.dataset.most)) throw new Error(`larger than ${form.dataset.most / 1048576} MB`);
    const body = new FormData(form);
    body.delete("image");
    body.append("image", file, file.name);
    if (withMap) body.set("map", "1");
    for (let tries = 1; ; tries += 1) {
      const reply = await fetch("results", { method: "POST", body });
      if (reply.ok) return reply.text();
      const busy = reply.status === 429 || reply.status === 503;
      if (!busy || tries === MOST_TRIES) throw new Error((await reply.json()).error);
      await pause(Number(reply.headers.get("Retry-After")) || 1);
    }
  };

  const refused = (file, error) => {
    const article = document.createElement("article");
    article.className = "card answer";
    const title = article.appendChild(document.createElement("h3"));
    title.textContent = file.name;
    const line = article.appendChild(document.createElement("p"));
    line.className = "refusal";
    line.textContent = error instanceof TypeError ? "the server does not answer; is it still running?" : error.message;
    return article;
  };

  const show = async (file, place, withMap) => {
    place.setAttribute("aria-busy", "true");
    let article;
    try {
      // the server has escaped what the picture and its name hold
      const made = document.createRange().createContextualFragment(await ask(file, withMap));
      article = made.querySelector("article");
    } catch (error) {
      article = refused(file, error);
    }
    const failed = withMap && !article.querySelector(".map") && article.querySelector(".refusal");
    if (failed) {
      place.querySelector(".map-button").textContent = `No map: ${failed.textContent}`;
      place.removeAttribute("aria-busy");
      return;
    }
    const hadFocus = place.contains(document.activeElement);
    place.replaceWith(article);
    if (hadFocus) { article.tabIndex = -1; article.focus(); }
    const button = article.querySelector(".map-button");
    if (button) {
      button.hidden = false;
      button.addEventListener("click", () => {
        // a button that is disabled would lose the focus
        button.setAttribute("aria-disabled", "true");
        button.textContent = "Looking at every region ...";
        queue(file, article, true);
      }, { once: true });
    }
  };

  const next = async () => {
    if (running >= AT_ONCE || !waiting.length) return;
    running += 1;
    const { file, place, withMap } = waiting.shift();
    await show(file, place, withMap);
    running -= 1;
    done += 1;
    tell();
    next();
  };

  const queue = (file, place, withMap) => {
    if (done === total) done = total = 0;
    total += 1;
    tell();
    waiting.push({ file, place, withMap });
    next();
  };

  const add = (files) => {
    for (const file of [...files].reverse()) {
      const place = document.createElement("article");
      place.className = "card answer waiting";
      place.textContent = file.name;
      results.prepend(place);
    }
    [...files].forEach((file, i) => queue(file, results.children[i], false));
  };

  input.addEventListener("change", () => { add([...input.files]); input.value = ""; });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["dragover", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      form.classList.toggle("over", kind === "dragover");
      if (kind === "drop") add(event.dataTransfer.files);
    });
  }
  addEventListener("paste", (event) => { if (event.clipboardData.files.length) add(event.clipboardData.files); });
})();
