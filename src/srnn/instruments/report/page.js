// SPDX-License-Identifier: MPL-2.0
// Without this script all parts are shown, one below the other.
const sections = [...document.querySelectorAll("main section")];
const links = [...document.querySelectorAll("nav a")];

function show() {
  const shown = sections.find((each) => "#" + each.id === location.hash) ?? sections[0];
  for (const each of sections) each.classList.toggle("shown", each === shown);
  for (const each of links) {
    if (each.hash === "#" + shown.id) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  for (const each of document.querySelectorAll("audio")) each.pause();
}

document.querySelector("main").classList.add("tabs");
addEventListener("hashchange", show);
show();

const root = document.documentElement;
document.querySelector("#theme").addEventListener("click", () => {
  const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
});
