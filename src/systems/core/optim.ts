import { compile, grad, HostTensor, sin, type Tensor, tensor, Variable } from '../../core/index.ts'
import * as optim from '../../optim/index.ts'
import type { CaseTable, GoldenCase, Outputs } from '../golden.ts'

/** The golden's objective: 0.5 ||A w - b||^2 + 0.3 sum sin(3w) + mean((X W^T - Y)^2). */
function objective(c: GoldenCase, w: Tensor, matrix: Tensor): Tensor {
  const [A, b, X, Y] = ['A', 'b', 'X', 'Y'].map(name => tensor(c.value('in', name).data, c.value('in', name).shape))
  const residual = A.matmul(w).sub(b)
  const quadratic = residual.mul(residual).sum().mul(0.5)
  const waves = sin(w.mul(3)).sum().mul(0.3)
  return quadratic.add(waves).add(X.matmul(matrix.transpose()).sub(Y).pow(2).mean())
}

interface Settings {
  readonly rule: optim.UpdateRule
  readonly rate?: number
  readonly clip?: number
  readonly ema?: number
}

/** Runs as many steps as the golden recorded and stacks what it recorded. */
async function trajectory(c: GoldenCase, settings: Settings, steps: number): Promise<Record<string, HostTensor>> {
  const rate = settings.rate ?? c.value('in', 'lr').numbers()[0]
  const [w, matrix] = (['w0', 'W0'] as const).map(
    name => new Variable(c.value('in', name).data.slice(), c.value('in', name).shape, 'f32', name),
  )
  const optimizer = new optim.Optimizer([{ parameters: [w, matrix], rule: settings.rule, learningRate: rate }])
  const ema = settings.ema === undefined ? undefined : new optim.ExponentialMovingAverage([w], settings.ema)
  const step = compile(() => {
    const loss = objective(c, w, matrix)
    const gradients = grad(loss, [w, matrix])
    const [learningRate] = optimizer.apply(
      settings.clip ? optim.clipByGlobalNorm(gradients, settings.clip).gradients : gradients,
    )
    ema?.update()
    return {
      loss,
      learningRate,
      w: w.next(),
      W: matrix.next(),
      average: ema ? ema.averages().get(w)!.next() : w.next(),
    }
  })
  const seen: Record<string, number[]> = { loss: [], learningRate: [], w: [], W: [], average: [] }
  for (let i = 0; i < steps; i++)
    for (const [key, value] of Object.entries(await step())) seen[key].push(...value.numbers())
  await step.release()
  const stacked = (key: string, shape: readonly number[]): HostTensor =>
    new HostTensor(Float32Array.from(seen[key]), [steps, ...shape])
  return {
    loss: stacked('loss', []),
    lr: stacked('learningRate', []),
    w: stacked('w', w.shape),
    W: stacked('W', matrix.shape),
    average: stacked('average', w.shape),
  }
}

/** A row of {@link trajectory} case: only what the golden holds. */
const trajectoryCase =
  (settings: () => Settings) =>
  async (c: GoldenCase): Promise<Outputs> => {
    const steps = c.outputShape('w')[0]
    const { average: _, ...recorded } = await trajectory(c, settings(), steps)
    return recorded
  }

/** The values of a schedule at the first `count` steps. */
async function sampled(c: GoldenCase, schedule: optim.Schedule): Promise<Outputs> {
  const count = c.outputShape('')[0]
  const values: number[] = []
  const at = compile((done: Tensor) => schedule(done))
  for (let i = 0; i < count; i++) values.push((await at(i)).item())
  await at.release()
  return { '': new HostTensor(Float32Array.from(values), [count]) }
}

function warmupCosine(c: GoldenCase, start: 'zero' | 'one'): optim.Schedule {
  const [total, warmup, base, min] = c.value('in', 'schedule').numbers()
  return optim.cosine({ total, warmup, base, min, start })
}

const rates = (c: GoldenCase): number => c.value('in', 'schedule').numbers()[2]

export const optimCases: CaseTable = {
  cases: [
    [/^sgd$/, trajectoryCase(() => ({ rule: optim.sgd() }))],
    [/^sgd_mom$/, trajectoryCase(() => ({ rule: optim.sgd({ momentum: 0.9, weightDecay: 0.01 }) }))],
    [
      /^sgd_nesterov$/,
      trajectoryCase(() => ({ rule: optim.sgd({ momentum: 0.9, weightDecay: 0.01, nesterov: true }) })),
    ],
    [/^sgd_damp$/, trajectoryCase(() => ({ rule: optim.sgd({ momentum: 0.9, dampening: 0.5 }) }))],
    [/^adam$/, trajectoryCase(() => ({ rule: optim.adam() }))],
    [
      /^adam_wd$/,
      trajectoryCase(() => ({ rule: optim.adam({ betas: [0.9, 0.98], epsilon: 1e-6, weightDecay: 0.1 }) })),
    ],
    [/^amsgrad$/, trajectoryCase(() => ({ rule: optim.adam({ amsgrad: true }) }))],
    [/^adamw$/, trajectoryCase(() => ({ rule: optim.adamW({ weightDecay: 0.05 }) }))],
    [/^adamw_clip1$/, trajectoryCase(() => ({ rule: optim.adamW({ betas: [0.9, 0.95], weightDecay: 0.1 }), clip: 1 }))],
    [/^adamax$/, trajectoryCase(() => ({ rule: optim.adamax() }))],
    [/^radam$/, trajectoryCase(() => ({ rule: optim.radam() }))],
    [/^rmsprop$/, trajectoryCase(() => ({ rule: optim.rmsprop({ alpha: 0.99, momentum: 0.9 }) }))],
    [/^adagrad$/, trajectoryCase(() => ({ rule: optim.adagrad() }))],
    [/^adadelta$/, trajectoryCase(() => ({ rule: optim.adadelta(), rate: 1 }))],
    [/^lamb$/, trajectoryCase(() => ({ rule: optim.lamb({ betas: [0.9, 0.999], epsilon: 1e-6, weightDecay: 0.01 }) }))],
    [
      /^lars$/,
      trajectoryCase(() => ({ rule: optim.lars({ momentum: 0.9, weightDecay: 1e-6, trust: 0.001 }), rate: 0.2 })),
    ],
    [/^lion$/, trajectoryCase(() => ({ rule: optim.lion({ betas: [0.9, 0.99], weightDecay: 0.1 }) }))],
    [
      /^ema_0(\d+)_of_adamw_w$/,
      async (c, [, digits]) => {
        const ema = Number(`0.${digits}`)
        const { average } = await trajectory(c, { rule: optim.adamW({ weightDecay: 0.05 }), ema }, c.outputShape('')[0])
        return { '': average }
      },
    ],
    [/^cosine_warmup_from0$/, c => sampled(c, warmupCosine(c, 'zero'))],
    [/^cosine_warmup_tplus1$/, c => sampled(c, warmupCosine(c, 'one'))],
    [
      /^cosine_annealing_T(\d+)$/,
      (c, [, total]) =>
        sampled(c, optim.cosine({ base: rates(c), total: Number(total), min: c.value('in', 'schedule').numbers()[3] })),
    ],
    [
      /^step_(\d+)_0(\d+)$/,
      (c, [, every, digits]) => sampled(c, optim.stepDecay(rates(c), Number(every), Number(`0.${digits}`))),
    ],
    [
      /^multistep_(\d+)_(\d+)_0(\d+)$/,
      (c, [, a, b, digits]) => sampled(c, optim.multiStep(rates(c), [Number(a), Number(b)], Number(`0.${digits}`))),
    ],
    [/^exp_0(\d+)$/, (c, [, digits]) => sampled(c, optim.exponential(rates(c), Number(`0.${digits}`)))],
    [
      /^poly_0(\d+)$/,
      (c, [, digits]) => sampled(c, optim.polynomial(rates(c), c.outputShape('')[0], Number(`0.${digits}`))),
    ],
    [/^onecycle_(\d+)$/, (c, [, total]) => sampled(c, optim.oneCycle({ peak: rates(c), total: Number(total) }))],
  ],
}
