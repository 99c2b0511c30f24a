// Light or dark: what the system prefers, until somebody switches.

const KEPT_AS = "queuepost.theme";
const WORDS = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };
const NEXT = { auto: "light", light: "dark", dark: "auto" };

/** Sets the button that switches. */
export function themeButton(button) {
  let theme = kept();
  const apply = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = SIGNS[theme];
    button.setAttribute("aria-label", WORDS[theme]);
    button.title = `${WORDS[theme]} (t)`;
  };
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    try {
      localStorage.setItem(KEPT_AS, theme);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    apply();
  });
  apply();
}

function kept() {
  try {
    const theme = localStorage.getItem(KEPT_AS);
    return theme in WORDS ? theme : "auto";
  } catch {
    return "auto";
  }
}
