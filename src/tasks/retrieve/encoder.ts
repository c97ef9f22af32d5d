/**
 * Puts texts and images into one space. Whatever makes vectors for a collection (Tenet's own towers, an ONNX pair,
 * a CLIP from a hub, a projection over any of them) is seen by search through this.
 */
export interface RetrievalEncoder {
  /** Identity of weights and configuration (hexadecimal digest): vectors of different identities never mix. */
  readonly id: string
  readonly name: string
  /** Length of a whole vector. */
  readonly dim: number
  /** Trained prefix lengths, ascending, the last equal to `dim`. */
  readonly widths: readonly number[]
  /** Side, in pixels, of the images it takes. */
  readonly imageSize: number
  /** How pictures of another shape become square: whole over white (`contain`, the default), cut to the middle, or stretched. */
  readonly imageFit?: 'contain' | 'cover' | 'fill'
  /** Interpolation it was trained with. Default `cubic`. */
  readonly imageKernel?: 'nearest' | 'linear' | 'cubic' | 'lanczos3'
  /** It was trained on whole sentences: queries go to it as they are typed, not put right or translated first. */
  readonly readsSentences?: boolean
  /** What `loadEncoder` finds it by: a path or `hf:owner/name`; undefined for the one that comes with Tenet. */
  readonly source?: string
  /**
   * @param texts any strings, in any language; an empty one gives a finite vector
   * @returns row-major [texts.length, dim], every row of unit length
   */
  encodeTexts(texts: readonly string[]): Promise<Float32Array>
  /**
   * @param pixels RGB bytes over white, row-major [count, imageSize, imageSize, 3]
   * @returns row-major [count, dim], every row of unit length
   * @throws RangeError when the bytes are not `count` images of that size
   */
  encodeImages(pixels: Uint8Array, count: number): Promise<Float32Array>
  close(): Promise<void>
}
