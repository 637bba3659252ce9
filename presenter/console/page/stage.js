import { build, draw, fit, point } from "./scene.js";
import { listen } from "./stream.js";

const scene = build(document.getElementById("scene"), { alone: true });
addEventListener("resize", () => fit(scene));

// The audience sees this page: a lost connection is the second screen's business.
listen({ stage: (part) => draw(scene, part), pointer: (part) => point(scene, part) }, () => {});
