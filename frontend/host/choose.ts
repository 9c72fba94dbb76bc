/** Sends what was chosen in a field. Refused, it shows what the server has again: Svelte sets it only when that has changed. */
export async function choose(field: { value: string }, send: (value: string) => Promise<boolean>, now: () => string | number): Promise<void> {
  if (!(await send(field.value))) field.value = String(now())
}
