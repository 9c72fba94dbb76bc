import { addEnglish } from '.'
import { more } from './en-more'

addEnglish(more)
