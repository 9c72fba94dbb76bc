/**
 * What was said last, for whoever does not see it. Everything outside an open dialog is hidden from screen readers, the
 * page's own live regions too; the sheet says it then.
 */
export const spoken = $state({ toast: '', urgent: '' })
