// The orders of the past, as the bench makes them for Daybook (`sale` in bench/src/read_side/past.rs), and their read model.

import { pongoSingleStreamProjection } from '@event-driven-io/emmett-postgresql';

const LINES_MAX = 5;

export const COLLECTION = 'orders';

/** The lines of the order with this number in its partition. */
const lines = (number) =>
  Array.from({ length: (number % LINES_MAX) + 1 }, (_, line) => ({
    sku: `BENCH-${String((number * 7 + line * 131) % 4_000).padStart(4, '0')}`,
    quantity: 1 + ((number + line) % 12),
    unit_price: 99 + ((number * 13 + line) % 5_000),
  }));

/** The n-th order over all partitions: its stream, and its events. */
export const order = (n, partitions) => {
  const [partition, number] = [n % partitions, Math.floor(n / partitions)];
  const at = new Date().toISOString();
  const placed = {
    customer: `customer-${number % 10_000}`,
    country: 'United Kingdom',
    currency: 'GBP',
    lines: lines(number),
    at,
  };
  return {
    stream: `order_${partition}_${String(number).padStart(8, '0')}`,
    events: [
      { type: 'OrderPlaced', data: placed },
      { type: 'OrderConfirmed', data: { at } },
    ],
  };
};

const sum = (lines, of) => lines.reduce((total, line) => total + of(line), 0);

/** The columns of Daybook's table `orders`, as a document. */
const evolve = (document, { type, data }) => {
  switch (type) {
    case 'OrderPlaced':
      return {
        status: 'placed',
        reason: null,
        customer: data.customer,
        country: data.country,
        invoice: null,
        currency: data.currency,
        total: sum(data.lines, (line) => line.quantity * line.unit_price),
        units: sum(data.lines, (line) => line.quantity),
        lines: data.lines,
        sequence: 1,
        placed_at: data.at,
        updated_at: data.at,
        shortage: null,
      };
    case 'OrderConfirmed':
      return { ...document, status: 'confirmed', sequence: document.sequence + 1, updated_at: data.at };
    default:
      throw new Error(`no order has an event of type ${type}`);
  }
};

/** A document an order, by the order's stream. */
export const orders = pongoSingleStreamProjection({
  collectionName: COLLECTION,
  canHandle: ['OrderPlaced', 'OrderConfirmed'],
  evolve,
});
