/** One line of the pen, in units of the pad's side (0 .. 1). */
export interface Stroke {
  readonly points: readonly (readonly [x: number, y: number])[]
  /** Line width, in the pad's sides. */
  readonly width: number
}

/** Draws strokes on white, with rounded ends, smoothed through the middles of their points. */
export function paint(context: CanvasRenderingContext2D, strokes: readonly Stroke[], side: number): void {
  context.fillStyle = '#fff'
  context.fillRect(0, 0, side, side)
  context.strokeStyle = '#111'
  context.fillStyle = '#111'
  context.lineCap = 'round'
  context.lineJoin = 'round'
  for (const { points, width } of strokes) {
    context.lineWidth = width * side
    const at = points.map(([x, y]) => [x * side, y * side] as const)
    if (at.length === 1) {
      context.beginPath()
      context.arc(at[0][0], at[0][1], (width * side) / 2, 0, 2 * Math.PI)
      context.fill()
      continue
    }
    context.beginPath()
    context.moveTo(...at[0])
    for (let i = 1; i < at.length - 1; i++) {
      const [x, y] = at[i]
      const [nextX, nextY] = at[i + 1]
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2)
    }
    context.lineTo(...at[at.length - 1])
    context.stroke()
  }
}

/** The drawing as a PNG data URL of 256 pixels a side. */
export function pictureOfStrokes(strokes: readonly Stroke[]): string {
  const canvas = document.createElement('canvas')
  canvas.width = 256
  canvas.height = 256
  paint(canvas.getContext('2d')!, strokes, 256)
  return canvas.toDataURL('image/png')
}
