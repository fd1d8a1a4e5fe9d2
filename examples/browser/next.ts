// The one thing to press next: it alone has the strong colour.

/** Marks the element with this id, and no other. */
export function showNext(id: string): void {
  for (const other of document.querySelectorAll('button.main, select.main')) other.classList.remove('main')
  document.getElementById(id)?.classList.add('main')
}
