import { mount, type Component } from 'svelte'
import './base.css'
import { loadTexts } from './i18n'

export async function start(page: Component<any>, ...texts: (() => Promise<void>)[]): Promise<void> {
  await Promise.all([loadTexts(), ...texts.map((load) => load())])
  const target = document.getElementById('app')!
  target.replaceChildren()
  mount(page, { target })
}
