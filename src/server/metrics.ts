import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ServedCollection } from './searchable.ts'
import type { WorkQueue } from './work-queue.ts'

export interface ServerMetrics {
  readonly registry: Registry
  request(method: string, route: string, status: number, seconds: number): void
  search(kind: string, seconds: number): void
}

/** Prometheus metrics of one server, in a registry of its own, so that several servers can live in one process. */
export function createMetrics(collections: readonly ServedCollection[], queue: WorkQueue): ServerMetrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const requests = new Counter({
    name: 'tenet_http_requests_total',
    help: 'Requests answered, by route and status',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const durations = new Histogram({
    name: 'tenet_http_request_duration_seconds',
    help: 'Time from request to answer',
    labelNames: ['method', 'route'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.06, 0.1, 0.25, 1, 5],
    registers,
  })
  const searches = new Histogram({
    name: 'tenet_search_duration_seconds',
    help: 'Time of a search or description without its wait in the queue',
    labelNames: ['kind'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.06, 0.1, 0.25, 1, 5],
    registers,
  })
  new Gauge({
    name: 'tenet_collection_items',
    help: 'Items that can be found',
    labelNames: ['collection'],
    registers,
    collect() {
      for (const { collection } of collections) this.set({ collection: collection.name }, collection.count)
    },
  })
  new Gauge({
    name: 'tenet_queue_jobs',
    help: 'Searches that run or wait',
    labelNames: ['state'],
    registers,
    collect() {
      const { running, waiting } = queue.size()
      this.set({ state: 'running' }, running)
      this.set({ state: 'waiting' }, waiting)
    },
  })
  return {
    registry,
    request: (method, route, status, seconds) => {
      requests.inc({ method, route, status })
      durations.observe({ method, route }, seconds)
    },
    search: (kind, seconds) => searches.observe({ kind }, seconds),
  }
}
