// Finding and making elements.

/** The element with this id, which index.html has. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const element = document.getElementById(id)
  if (!element) throw new Error(`index.html has no element with the id ${id}`)
  return element as E
}

/** A new element with properties and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  children: (Node | string)[] = [],
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

/** A name that may go on in the next line behind a sign or where a word of its own begins, and nowhere else. */
export const breakable = (name: string): (Node | string)[] =>
  name
    .split(/(?<=[_./:-])(?=[^_./:-])|(?<=[a-z])(?=[A-Z])/)
    .flatMap((part, i) => (i ? [document.createElement('wbr'), part] : [part]))

export const count = (n: number): string => n.toLocaleString('en-US')

/** Seconds as a person says them. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
