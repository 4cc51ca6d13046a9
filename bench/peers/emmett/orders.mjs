// The orders of the past, as the bench makes them for Daybook (`sale` in bench/src/read_side/past.rs), and their read model.

import { rawSql, sql } from '@event-driven-io/dumbo';
import { postgreSQLRawSQLProjection } from '@event-driven-io/emmett-postgresql';

const LINES_MAX = 5;

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

/** Columns, key and indexes of Daybook's table of orders. */
const TABLE = `
  CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT, customer TEXT, country TEXT, invoice TEXT,
    currency TEXT NOT NULL, total BIGINT NOT NULL, units BIGINT NOT NULL, lines JSONB NOT NULL, sequence BIGINT NOT NULL,
    placed_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL, shortage JSONB
  );
  CREATE INDEX IF NOT EXISTS orders_by_customer ON orders (customer, placed_at DESC, id DESC);
  CREATE INDEX IF NOT EXISTS orders_by_status ON orders (status, placed_at DESC, id DESC);
  CREATE INDEX IF NOT EXISTS orders_by_time ON orders (placed_at DESC, id DESC)`;

const sum = (lines, of) => lines.reduce((total, line) => total + of(line), 0);

/** What an event does to its row, in one statement: emmett hands over one event at a time. */
const evolve = ({ type, data, metadata: { streamName } }) => {
  switch (type) {
    case 'OrderPlaced':
      return sql(
        `INSERT INTO orders (id, status, customer, country, currency, total, units, lines, sequence, placed_at, updated_at)
         VALUES (%L, 'placed', %L, %L, %L, %s, %s, %L, 1, %L, %L)`,
        streamName,
        data.customer,
        data.country,
        data.currency,
        sum(data.lines, (line) => line.quantity * line.unit_price),
        sum(data.lines, (line) => line.quantity),
        JSON.stringify(data.lines),
        data.at,
        data.at,
      );
    case 'OrderConfirmed':
      return sql(
        `UPDATE orders SET status = 'confirmed', sequence = sequence + 1, updated_at = %L WHERE id = %L`,
        data.at,
        streamName,
      );
    default:
      throw new Error(`no order has an event of type ${type}`);
  }
};

/** A row an order, by the order's stream. */
export const orders = {
  ...postgreSQLRawSQLProjection({
    name: 'orders',
    canHandle: ['OrderPlaced', 'OrderConfirmed'],
    init: () => rawSql(TABLE),
    evolve,
  }),
  // A rebuild begins with it.
  truncate: ({ execute }) => execute.command(rawSql('TRUNCATE orders')),
};
