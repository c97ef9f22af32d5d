import { useEffect, useState } from 'react'
import { imageAddress, type Metadata } from './api.ts'
import { takesColour } from './icon-code.ts'
import { pictureLater, pictureNow } from './picture-store.ts'

interface PictureProps {
  readonly id: string
  readonly metadata: Metadata
  readonly size: number
  readonly alt?: string
}

/** A picture of nothing, so that the place is kept until the picture is there. */
const blank = 'data:image/svg+xml,%3Csvg xmlns=%27http://www.w3.org/2000/svg%27/%3E'

/** The picture of an item; one without colours of its own takes the page's. */
export function Picture({ id, metadata, size, alt = '' }: PictureProps) {
  const now = pictureNow(id)
  const [later, setLater] = useState<{ readonly id: string; readonly address: string | undefined }>()
  useEffect(() => {
    if (now !== null) return
    let shown = true
    void pictureLater(id).then(address => shown && setLater({ id, address }))
    return () => {
      shown = false
    }
  }, [id, now])
  const waits = now === null && later?.id !== id
  const address = now ?? (later?.id === id ? later.address : undefined) ?? imageAddress(id)
  return (
    <img
      className={takesColour(metadata) ? 'picture plain' : 'picture'}
      src={waits ? blank : address}
      width={size}
      height={size}
      alt={alt}
      decoding="async"
      draggable={false}
    />
  )
}
