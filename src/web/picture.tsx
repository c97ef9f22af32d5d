import { imageAddress, type Metadata } from './api.ts'
import { takesColour } from './icon-code.ts'

interface PictureProps {
  readonly id: string
  readonly metadata: Metadata
  readonly size: number
  readonly alt?: string
}

/** The picture of an item; one without colours of its own takes the page's. */
export function Picture({ id, metadata, size, alt = '' }: PictureProps) {
  return (
    <img
      className={takesColour(metadata) ? 'picture plain' : 'picture'}
      src={imageAddress(id)}
      width={size}
      height={size}
      alt={alt}
      loading="lazy"
      decoding="async"
      draggable={false}
    />
  )
}
