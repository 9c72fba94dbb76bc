import { expect, test } from 'vitest'
import { linksOf, pieces } from '../chat/links'

const hrefs = (text: string) => pieces(text).flatMap((piece) => piece.href ?? [])
const shown = (text: string) => pieces(text).flatMap((piece) => (piece.href ? [piece.text] : []))

test('addresses with http and https become links, where they end', () => {
  expect(pieces('Look: https://shop.example/a?b=c#d, nice!')).toEqual([
    { text: 'Look: ' },
    { text: 'https://shop.example/a?b=c#d', href: 'https://shop.example/a?b=c#d' },
    { text: ', nice!' },
  ])
  expect(shown('(see http://a.example/b).')).toEqual(['http://a.example/b'])
  expect(shown('https://a.example/scarf_(wool) and https://b.example…')).toEqual(['https://a.example/scarf_(wool)', 'https://b.example'])
  expect(shown('HTTPS://A.EXAMPLE/X')).toEqual(['HTTPS://A.EXAMPLE/X'])
  expect(shown('看https://a.example/围巾。')).toEqual([])
  expect(shown('看 https://a.example/围巾。')).toEqual(['https://a.example/围巾'])
})

test('nothing else does', () => {
  for (const text of [
    'javascript:alert(1)', 'JaVaScRiPt://a.example/%0aalert(1)', 'data:text/html,<b>x</b>', 'vbscript:x', 'file:///etc/passwd',
    'ftp://a.example', 'mailto:a@b.example', 'tel:+491234', '//a.example', 'www.a.example', 'a.example', 'xhttps://a.example',
    'https://', 'http://[', 'https:a.example', 'https:/a.example', 'me@https://a.example',
    'https://bank.example@evil.example/', 'https://bank.example:pin@evil.example/',
    '[x](javascript:alert(1))', '<a href="javascript:alert(1)">', 'blob:https://a.example/x', 'view-source:https://a.example',
  ]) {
    expect(hrefs(text).filter((href) => !/^https?:\/\/a\.example\//.test(href)), text).toEqual([])
  }
  expect(hrefs('JaVaScRiPt://a.example/%0aalert(1)')).toEqual([])
  expect(hrefs('https://bank.example@evil.example/')).toEqual([])
  expect(hrefs('me@https://a.example')).toEqual([])
})

test('nothing of a text is lost or added but the letters of a site', () => {
  for (const text of [
    'a https://a.example/b?c=<x> d', '  https://a.example\n\nhttps://b.example  ', 'https://a.example"onmouseover="x',
    'no link at all', '', '🧣https://a.example/🧣!!', 'https://a.example/))) (https://b.example)',
  ]) expect(pieces(text).map((piece) => piece.text).join('')).toBe(text)
})

test('a site in other letters is shown as it is written in ASCII', () => {
  expect(pieces('https://аррӏе.com/pay')).toEqual([{ text: 'https://xn--80ak6aa92e.com/pay', href: 'https://xn--80ak6aa92e.com/pay' }])
  expect(shown('http://münchen.example')).toEqual(['http://xn--mnchen-3ya.example'])
  expect(shown('https://ex%61mple.com/x')).toEqual(['https://example.com/x'])
  expect(shown('https://example。com/x')).toEqual(['https://example.com/x'])
  expect(shown('http://2852039166/')).toEqual(['http://169.254.169.254/'])
})

test('whose addresses become links is as the room says', () => {
  const roles = ['guest', 'member', 'moderator', 'host', 'owner']
  const whose = (links: 'off' | 'staff' | 'everybody') => roles.filter((role) => linksOf({ links }, role))
  expect(whose('off')).toEqual([])
  expect(whose('staff')).toEqual(['moderator', 'host', 'owner'])
  expect(whose('everybody')).toEqual(roles)
})
