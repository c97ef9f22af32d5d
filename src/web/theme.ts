const key = 'tenet-theme'
const systemIsDark = matchMedia('(prefers-color-scheme: dark)')

/** Whether the page is dark now: as somebody chose here, else as the system prefers. */
export function isDark(): boolean {
  const chosen = localStorage.getItem(key)
  return chosen === 'light' || chosen === 'dark' ? chosen === 'dark' : systemIsDark.matches
}

/** Puts the theme on the document, where the styles look for it. */
const show = (): void => {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light'
}

/** Shows the theme, and follows the system's as long as none is chosen. */
export function startTheme(): void {
  show()
  systemIsDark.addEventListener('change', show)
}

/** Chooses a theme, and remembers it. */
export function chooseTheme(theme: 'light' | 'dark'): void {
  localStorage.setItem(key, theme)
  show()
}
