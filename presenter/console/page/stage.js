import { listen, make, picture } from "./stream.js";

const $ = (id) => document.getElementById(id);

function stage(part) {
  $("idle").hidden = part.on;
  $("on").hidden = !part.on;
  if (!part.on) {
    $("sheet").textContent = part.title;
    return;
  }
  const words = part.picture_words;
  const figure = $("on").querySelector("figure");
  figure.hidden = !words.alt;
  if (words.alt) {
    figure.firstElementChild.src = picture(part.picture);
    figure.firstElementChild.alt = words.alt;
    figure.lastElementChild.textContent = words.caption;
  }
  $("title").textContent = part.title;
  $("points").replaceChildren(...part.points.map((point) => make("li", { html: point.html })));
}

// The audience sees this page: a lost connection is the second screen's business.
listen({ stage }, () => {});
